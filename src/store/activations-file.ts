import { ParseError, UsageError } from '../errors.ts';
import { readPtTensor } from '../model/pt-file.ts';
import { openFile } from '../model/read-bytes.ts';
import { isFloatDtype, readFloats, readTensor } from '../model/safetensors-content.ts';
import { readSafetensorsHeader, type TensorEntry } from '../model/safetensors.ts';
import { isTorchArchive } from './vector-import.ts';

/** Rows of activations in a file, as they were saved. */
export interface ActivationsFile {
  readonly path: string;
  readonly rows: number;
  /** Entries of the layer axis; 1 where the file has none. */
  readonly layers: number;
  readonly width: number;
  /** Name of the tensor; null in a `.pt`, and where every row is a tensor of its own. */
  readonly tensor: string | null;
  /** Whether `persona activations` wrote it, which counts layers as this package does. */
  readonly ours: boolean;
  /** The model that it says it is of. */
  readonly model: string | null;
  /** `[layers, width]` of one row. */
  read(row: number): Promise<Float32Array>;
  /** The file's own labels, one a row, in a tensor "labels"; null where it has none. */
  labels(): Promise<readonly number[] | null>;
}

/** What a file does not say of itself. */
export interface ActivationsShape {
  /** Which of its tensors; default: the only one that can be meant. */
  readonly tensor?: string | undefined;
  /** Whether rows are of one layer, `[rows, width]`. */
  readonly single: boolean;
}

/** Name of the tensor that marks rows. */
const LABELS = 'labels';

/**
 * Opens activations: in safetensors one tensor `[rows, layers, width]` (or `[rows, width]` of one layer), or a tensor
 * `[layers, width]` for every row; in a `.pt` one tensor of the first two forms. F32, F16 or BF16. Rows are read one by one.
 *
 * @throws ParseError where the file is damaged or holds other shapes; UsageError where it cannot be read, or several tensors
 *   may be meant.
 */
export async function openActivations(path: string, shape: ActivationsShape): Promise<ActivationsFile> {
  return (await isTorchArchive(path)) ? fromPt(path, shape) : fromSafetensors(path, shape);
}

async function fromPt(path: string, { single }: ActivationsShape): Promise<ActivationsFile> {
  const { shape, data } = await readPtTensor(path);
  const [rows, layers, width] = axes(shape, single, path);
  const size = layers * width;
  return {
    path,
    rows,
    layers,
    width,
    tensor: null,
    ours: false,
    model: null,
    read: (row) => Promise.resolve(data.subarray(row * size, (row + 1) * size)),
    labels: () => Promise.resolve(null),
  };
}

async function fromSafetensors(path: string, wanted: ActivationsShape): Promise<ActivationsFile> {
  const header = await readSafetensorsHeader(path);
  const entries = [...header.tensors.values()].filter(({ name }) => name !== LABELS);
  const whole = wholeTensor(entries, wanted, path);
  const parts = whole === null ? entries : [whole];
  for (const { name, dtype } of parts)
    if (!isFloatDtype(dtype))
      throw bad(path, `expected tensor "${name}" to be of F32, F16 or BF16, got ${dtype}`);
  const [count, layers, width] =
    whole === null ? [parts.length, ...sameShape(parts, path)] : axes(whole.shape, wanted.single, path);
  return {
    path,
    rows: count,
    layers,
    width,
    tensor: whole?.name ?? null,
    ours: header.metadata.get('format') === 'persona-vectors activations',
    model: header.metadata.get('model') ?? null,
    read: async (row) => {
      const entry = whole ?? parts[row]!;
      if (!isFloatDtype(entry.dtype)) throw bad(path, `tensor "${entry.name}" is of ${entry.dtype}`);
      const byteLength = entry.byteLength / (whole === null ? 1 : count);
      const file = await openFile(path);
      try {
        const offset = entry.offset + (whole === null ? 0 : row * byteLength);
        return await readFloats(file, { offset, byteLength }, entry.dtype);
      } finally {
        await file.handle.close();
      }
    },
    labels: () => ownLabels(path, header.tensors.get(LABELS)),
  };
}

/** The tensor that holds all rows; null where every row is one. */
function wholeTensor(
  entries: readonly TensorEntry[],
  { tensor, single }: ActivationsShape,
  path: string,
): TensorEntry | null {
  const names = (list: readonly TensorEntry[]): string =>
    list
      .map(({ name }) => `"${name}"`)
      .slice(0, 8)
      .join(', ') || 'none';
  if (tensor !== undefined) {
    const found = entries.find(({ name }) => name === tensor);
    if (found !== undefined) return found;
    throw new UsageError(`Expected a tensor "${tensor}" in "${path}", got ${names(entries)}.`, {
      details: { file: path, tensor },
    });
  }
  const rank = single ? 2 : 3;
  const whole = entries.filter(({ shape }) => shape.length === rank);
  if (whole.length === 1) return whole[0]!;
  if (whole.length > 1)
    throw new UsageError(
      `Expected one tensor of activations in "${path}", got ${names(whole)}; name one of them with --tensor.`,
      { details: { file: path } },
    );
  if (!single && entries.length > 0 && entries.every(({ shape }) => shape.length === 2)) return null;
  throw bad(
    path,
    `got ${
      entries
        .map(({ name, shape }) => `"${name}" [${shape.join(', ')}]`)
        .slice(0, 4)
        .join(', ') || 'no tensor'
    }`,
  );
}

function sameShape(parts: readonly TensorEntry[], path: string): [number, number] {
  const [first, ...more] = parts;
  const [layers, width] = first!.shape as [number, number];
  const other = more.find(({ shape }) => shape[0] !== layers || shape[1] !== width);
  if (other !== undefined)
    throw bad(
      path,
      `"${first!.name}" is [${first!.shape.join(', ')}], "${other.name}" [${other.shape.join(', ')}]`,
    );
  return [layers, width];
}

function axes(shape: readonly number[], single: boolean, path: string): [number, number, number] {
  const [rows, layers, width] = single && shape.length === 2 ? [shape[0], 1, shape[1]] : shape;
  if (rows === undefined || layers === undefined || width === undefined || (shape.length !== 3 && !single))
    throw bad(path, `got [${shape.join(', ')}]`);
  if (rows < 1 || layers < 1 || width < 1) throw bad(path, `got [${shape.join(', ')}], which is empty`);
  return [rows, layers, width];
}

async function ownLabels(path: string, entry: TensorEntry | undefined): Promise<readonly number[] | null> {
  if (entry === undefined) return null;
  const file = await openFile(path);
  try {
    const { data } = await readTensor(file, entry);
    return Array.from(data as ArrayLike<number | bigint>, Number);
  } finally {
    await file.handle.close();
  }
}

function bad(path: string, problem: string): ParseError {
  return new ParseError(
    `"${path}" holds no activations that can be read: ${problem}; expected a tensor [rows, layers, width], or [rows, width] of one layer (--at), or a tensor [layers, width] for every row.`,
    { details: { file: path } },
  );
}
