import { open } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { ParseError, UsageError } from '../errors.ts';
import { isGguf, readGguf } from '../model/gguf.ts';
import { readPtTensor } from '../model/pt-file.ts';
import { pathKind } from '../model/read-bytes.ts';
import { runFiles } from './run-folder.ts';
import { type ZeroDirection, fromControlVector } from './control-vector.ts';
import { type VectorFile, type VectorMetadata, readVectorFile, unknownOrigin } from './vector-file.ts';

/**
 * How the rows of a `.pt` tensor are counted. `persona`: the paper's authors', `[L+1, width]`, row l = layer l, the last one
 * after the final norm. `axis`: assistant-axis's, `[L, width]`, row i = the output of block i counted from 0, so layer i + 1.
 */
export const ptLayouts = ['persona', 'axis'] as const;
export type PtLayout = (typeof ptLayouts)[number];

/** What a file from elsewhere does not say of itself. */
export interface ImportOptions {
  /** Of a `.pt` file; default `persona`. */
  readonly layout?: PtLayout | undefined;
  /** Of a file with several poolings: which one. Of one that does not say: what is noted. */
  readonly pooling?: string | undefined;
  readonly trait?: string | undefined;
  readonly model?: string | undefined;
  /** L of the model, where a control vector ends before it. */
  readonly layers?: number | undefined;
  /** Of a control vector: what becomes of `direction.0`; default: the file is refused. */
  readonly directionZero?: ZeroDirection | undefined;
  /** Of a control vector: added to the layer of every direction. */
  readonly layerShift?: number | undefined;
}

/** A vector from any of the formats, and what was done on the way, in sentences. */
export interface ImportedVector {
  readonly file: VectorFile;
  readonly format: 'safetensors' | 'pt' | 'gguf';
  readonly notes: readonly string[];
}

/**
 * Reads directions from this package's vector files, a run folder, a `.pt` tensor or a GGUF control vector. What the file
 * is, its first bytes say, not its name.
 *
 * @throws ParseError where it is none of these or damaged; UsageError where it cannot be read, or needs an option.
 */
export async function importVector(path: string, options: ImportOptions = {}): Promise<ImportedVector> {
  const file = await vectorPath(path);
  const start = await firstBytes(file, 'a vector file or a run folder');
  if (isGguf(start)) return fromControlVector(await readGguf(file), file, options);
  if (isArchive(start)) return fromPt(file, options);
  if (extname(file) === '.pt' || extname(file) === '.gguf')
    throw new ParseError(
      `"${file}" is neither an archive of torch.save nor a GGUF file: it begins with other bytes; download it again.`,
      { details: { file } },
    );
  return { file: await readVectorFile(file), format: 'safetensors', notes: [] };
}

/** The vector file of a run folder, or the file itself. */
export async function vectorPath(path: string): Promise<string> {
  return (await pathKind(path)) === 'folder' ? join(path, runFiles.vector) : path;
}

/** Whether a file begins as those of `torch.save` do; UsageError where there is none. */
export async function isTorchArchive(path: string): Promise<boolean> {
  return isArchive(await firstBytes(path, 'a file of activations'));
}

/** "PK", as archives begin. */
function isArchive(start: Uint8Array): boolean {
  return start[0] === 0x50 && start[1] === 0x4b;
}

async function firstBytes(path: string, what: string): Promise<Uint8Array> {
  if ((await pathKind(path)) !== 'file')
    throw new UsageError(`Expected ${what} at "${path}", got none; check the path.`, {
      details: { file: path },
    });
  const handle = await open(path, 'r');
  try {
    const bytes = new Uint8Array(4);
    await handle.read(bytes, 0, 4, 0);
    return bytes;
  } finally {
    await handle.close();
  }
}

/** Poolings by the authors' names of them, which end the names of their files; the last is none of theirs. */
export const officialPoolings: Readonly<Record<string, string>> = {
  response_avg: 'response_mean',
  prompt_avg: 'prompt_mean',
  prompt_last: 'prompt_last',
  boundary_mean: 'boundary_mean',
};

async function fromPt(path: string, options: ImportOptions): Promise<ImportedVector> {
  const { layout = 'persona' } = options;
  const { shape, data } = await readPtTensor(path);
  const [rows, width] = shape;
  if (shape.length !== 2 || rows === undefined || width === undefined || rows < 2)
    throw new ParseError(
      `"${path}": expected a tensor with a row for each layer, [L+1, width], got [${shape.join(', ')}]; a direction of one layer is no vector file.`,
      { details: { file: path } },
    );
  if (!data.every(Number.isFinite))
    throw new ParseError(`"${path}" holds numbers that are not finite.`, { details: { file: path } });
  const named = nameOf(path);
  const { trait = named.trait, pooling = named.pooling } = options;
  const axis = layout === 'axis';
  const layers = axis ? rows : rows - 1;
  const metadata: VectorMetadata = {
    ...unknownOrigin({ trait, pooling, model: options.model }),
    source: axis ? 'assistant-axis .pt, rows are outputs of blocks' : "the authors' .pt",
    ...(axis ? { absentLayers: [0] } : { lastRow: 'final_norm' }),
  };
  const whole = axis ? withRowZero(data, width) : data;
  const note = axis
    ? `Row i is layer i + 1: ${layers} layers, none for the embeddings.`
    : `Row l is layer l; row ${layers} was taken after the final norm, so steering at layer ${layers} is refused.`;
  return {
    file: { layers, width, tensors: new Map([[pooling, whole]]), metadata },
    format: 'pt',
    notes: [note],
  };
}

/** `evil_response_avg_diff.pt` names a trait and a pooling. */
function nameOf(path: string): { trait: string; pooling: string } {
  const stem = basename(path, extname(path));
  const match = /^(.+)_(response_avg|prompt_avg|prompt_last|boundary_mean)_(?:diff|axis)$/.exec(stem);
  if (match === null) return { trait: stem, pooling: 'unknown' };
  return { trait: match[1]!, pooling: officialPoolings[match[2]!]! };
}

function withRowZero(data: Float32Array, width: number): Float32Array {
  const whole = new Float32Array(data.length + width);
  whole.set(data, width);
  return whole;
}
