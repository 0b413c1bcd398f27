import { decodeBf16, decodeF16 } from './float-formats.ts';
import { type PickleValue, readPickle } from './pickle.ts';
import { readSmallFile } from './read-bytes.ts';
import { type ZipEntry, zipEntries } from './zip-entries.ts';
import { ParseError } from '../errors.ts';

/** A tensor of a `.pt` file, widened to floats of 32 bits (narrowed from 64), row-major. */
export interface PtTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Vectors of the largest models in use have 5 MB. */
const MAX_BYTES = 512 * 1024 * 1024;

/** Element types of PyTorch's storages, with their bytes. */
const storages: Readonly<
  Record<string, { readonly size: number; readonly read: (bytes: Uint8Array) => Float32Array }>
> = {
  'torch FloatStorage': { size: 4, read: (bytes) => new Float32Array(copy(bytes)) },
  'torch DoubleStorage': { size: 8, read: (bytes) => Float32Array.from(new Float64Array(copy(bytes))) },
  'torch HalfStorage': { size: 2, read: (bytes) => widen(bytes, decodeF16) },
  'torch BFloat16Storage': { size: 2, read: (bytes) => widen(bytes, decodeBf16) },
};

/**
 * Reads a file in which `torch.save` put one tensor of floats, as the paper's authors keep vectors. The pickle inside is
 * read by a whitelist and never run.
 *
 * @throws ParseError where it holds something else, is damaged, or names what could run code; UsageError where it cannot
 *   be read.
 */
export async function readPtTensor(path: string): Promise<PtTensor> {
  const entries = zipEntries(await readSmallFile(path, MAX_BYTES), path);
  const description = entries.find(({ name }) => name.endsWith('/data.pkl'));
  if (description === undefined)
    throw bad(path, 'expected a file of torch.save, got an archive without "data.pkl"');
  const folder = description.name.slice(0, -'data.pkl'.length);
  const order = entries.find(({ name }) => name === `${folder}byteorder`);
  if (order !== undefined && new TextDecoder().decode(order.bytes) !== 'little')
    throw bad(path, 'its numbers are not little-endian');
  return rebuild(readPickle(description.bytes, path), { path, folder, entries });
}

interface Archive {
  readonly path: string;
  readonly folder: string;
  readonly entries: readonly ZipEntry[];
}

function rebuild(value: PickleValue, archive: Archive): PtTensor {
  if (value.kind === 'call' && value.name === 'torch._utils _rebuild_parameter')
    return rebuild(value.items[0] ?? { kind: 'none' }, archive);
  if (value.kind !== 'call' || value.name !== 'torch._utils _rebuild_tensor_v2')
    throw bad(archive.path, 'expected one tensor, got something else');
  const [storage, offset, size, strides] = value.items;
  const values = readStorage(storage, archive);
  const shape = integers(size, archive.path);
  const steps = integers(strides, archive.path);
  const start = offset?.kind === 'integer' ? offset.value : -1;
  const count = shape.reduce((product, axis) => product * axis, 1);
  const last = shape.reduce((sum, axis, i) => sum + (axis - 1) * (steps[i] ?? NaN), start);
  if (
    steps.length !== shape.length ||
    start < 0 ||
    count < 1 ||
    !(last < values.length) ||
    count > values.length
  )
    throw bad(archive.path, `its shape [${shape.join(', ')}] does not fit its ${values.length} numbers`);
  return { shape, data: gather(values, { start, shape, steps, count }) };
}

interface Strided {
  readonly start: number;
  readonly shape: readonly number[];
  readonly steps: readonly number[];
  readonly count: number;
}

/** The numbers in row-major order, whatever order they lie in. */
function gather(values: Float32Array, { start, shape, steps, count }: Strided): Float32Array {
  const data = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let [place, rest] = [start, i];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += (rest % shape[axis]!) * steps[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    data[i] = values[place]!;
  }
  return data;
}

/** A storage is described as ("storage", its class, its file's name, the device, the count of its numbers). */
function readStorage(value: PickleValue | undefined, { path, folder, entries }: Archive): Float32Array {
  const items = value?.kind === 'persistent' && value.id.kind === 'tuple' ? value.id.items : [];
  const [tag, type, key, , count] = items;
  if (tag?.kind !== 'text' || tag.value !== 'storage' || type?.kind !== 'global' || key?.kind !== 'text')
    throw bad(path, 'its description is damaged');
  const storage = storages[type.name];
  if (storage === undefined || count?.kind !== 'integer') throw bad(path, 'its numbers are no floats');
  const entry = entries.find(({ name }) => name === `${folder}data/${key.value}`);
  if (entry === undefined) throw bad(path, `its numbers ("data/${key.value.slice(0, 40)}") are missing`);
  if (entry.bytes.byteLength !== count.value * storage.size)
    throw bad(
      path,
      `expected ${count.value} numbers of ${storage.size} bytes, got ${entry.bytes.byteLength} bytes`,
    );
  return storage.read(entry.bytes);
}

function integers(value: PickleValue | undefined, path: string): number[] {
  const items = value?.kind === 'tuple' ? value.items : null;
  return (items ?? [{ kind: 'none' } as const]).map((item) => {
    if (item.kind === 'integer' && item.value >= 0) return item.value;
    throw bad(path, 'its shape is damaged');
  });
}

/** The bytes in a buffer of their own: in the archive they may begin at an odd place. */
function copy(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer;
}

function widen(bytes: Uint8Array, decode: (source: Uint16Array, target: Float32Array) => void): Float32Array {
  const source = new Uint16Array(copy(bytes));
  const values = new Float32Array(source.length);
  decode(source, values);
  return values;
}

function bad(path: string, problem: string): ParseError {
  return new ParseError(
    `"${path}" is no tensor that can be read: ${problem}; give a file that holds one tensor of floats.`,
    { details: { file: path } },
  );
}
