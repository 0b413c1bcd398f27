import { sha256 } from '../util/hash.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';
import type { PtTensor } from './pt-file.ts';
import { encodeZip } from './zip-writer.ts';

/**
 * Writes a tensor of 32-bit floats as `torch.save` does, so that `torch.load(weights_only=True)` reads it; whole or not at
 * all, and equal arguments give equal bytes.
 *
 * @param stem Folder inside the archive, by habit the file's name without its ending.
 */
export async function writePtTensor(path: string, tensor: PtTensor, stem: string): Promise<void> {
  const bytes = encodePtTensor(tensor, stem);
  await writeFileAtomically(path, (handle) => handle.writeFile(bytes));
}

/** The file's bytes: the six entries of PyTorch's archives, in their order. */
export function encodePtTensor({ shape, data }: PtTensor, stem: string): Uint8Array {
  const numbers = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const entries = [
    { name: 'data.pkl', bytes: tensorPickle(shape, data.length) },
    { name: 'byteorder', bytes: text('little') },
    { name: 'data/0', bytes: numbers },
    { name: 'version', bytes: text('3\n') },
    { name: '.data/serialization_id', bytes: text(serialId(numbers)) },
  ];
  return encodeZip(entries.map(({ name, bytes }) => ({ name: `${stem}/${name}`, bytes })));
}

/** Forty digits that tell files apart, as PyTorch's do. */
function serialId(numbers: Uint8Array): string {
  return BigInt(`0x${sha256(numbers)}`)
    .toString()
    .slice(0, 40)
    .padStart(40, '0');
}

/**
 * `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())` in pickle protocol 2, where the storage is the
 * persistent id `('storage', FloatStorage, '0', 'cpu', count)`.
 */
function tensorPickle(shape: readonly number[], count: number): Uint8Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const storage = [text('storage'), global('torch', 'FloatStorage'), text('0'), text('cpu'), integer(count)];
  const items = [
    tuple(storage),
    PERSISTENT,
    integer(0),
    tuple(shape.map(integer)),
    tuple(strides.map(integer)),
  ];
  const hooks = [global('collections', 'OrderedDict'), EMPTY_TUPLE, REDUCE];
  const call = [global('torch._utils', '_rebuild_tensor_v2'), tuple([...items, FALSE, ...hooks]), REDUCE];
  return Uint8Array.from([0x80, 2, ...call.flat(), STOP]);
}

const EMPTY_TUPLE = [0x29];
const FALSE = [0x89];
const PERSISTENT = [0x51];
const REDUCE = [0x52];
const STOP = 0x2e;

function tuple(items: readonly (readonly number[])[]): number[] {
  return [0x28, ...items.flat(), 0x74];
}

function global(module: string, name: string): number[] {
  return [0x63, ...new TextEncoder().encode(`${module}\n${name}\n`)];
}

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [0x58, ...littleEndian(bytes.length), ...bytes];
}

function integer(value: number): number[] {
  return [0x4a, ...littleEndian(value)];
}

function littleEndian(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
}
