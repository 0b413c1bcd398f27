import { ParseError, UsageError } from '../errors.ts';
import { openFile } from '../model/read-bytes.ts';
import { type TensorEntry, readSafetensorsHeader } from '../model/safetensors.ts';
import { isFloatDtype, readFloats } from '../model/safetensors-content.ts';

/** The decoder of a sparse autoencoder over the residual stream: one direction of the stream for each feature. */
export interface SaeDecoder {
  readonly file: string;
  readonly tensor: string;
  readonly features: number;
  readonly width: number;
  /** Whether a row of the matrix is a feature's direction; otherwise a column is. */
  readonly featuresAreRows: boolean;
  readonly entry: TensorEntry & { readonly dtype: 'F32' | 'F16' | 'BF16' };
}

/** A run of rows of the decoder's matrix as it is stored. */
export interface DecoderPiece {
  /** Of the first row. */
  readonly first: number;
  /** `[rows, columns]`. */
  readonly data: Float32Array;
}

/** Names under which SAELens and sparsify (`W_dec`) and dictionary_learning (`decoder.weight`) keep it. */
const usualNames = ['W_dec', 'decoder.weight', 'decoder', 'dec.weight'];
/** Numbers read at once. */
const pieceValues = 4 * 1024 * 1024;

/**
 * Finds the decoder in a safetensors file: a matrix `[features, width]` or `[width, features]`, whichever has the stream's width.
 * Where both sides have it, it is read as its usual name has it: `decoder.weight`, a linear layer's, by columns, others by rows.
 *
 * @param tensor Its name, where it is not one of the usual ones.
 * @throws UsageError where there is no such tensor; ParseError where it is no matrix of that width, or no floats.
 */
export async function openSaeDecoder(file: string, width: number, tensor?: string): Promise<SaeDecoder> {
  const { tensors } = await readSafetensorsHeader(file);
  const name = tensor ?? usualNames.find((one) => tensors.has(one));
  const entry = name === undefined ? undefined : tensors.get(name);
  if (name === undefined || entry === undefined) {
    const there = [...tensors.keys()].slice(0, 12).join(', ');
    throw new UsageError(
      `Expected ${tensor === undefined ? `a decoder called ${usualNames.join(' or ')}` : `a tensor "${tensor}"`} in "${file}", got ${there || 'no tensors'}; name it with --tensor.`,
      { details: { file } },
    );
  }
  const { shape, dtype } = entry;
  const [rows = 0, columns = 0] = shape;
  if (shape.length !== 2 || (rows !== width && columns !== width) || rows === 0 || columns === 0)
    throw new ParseError(
      `"${file}": expected "${name}" to be a matrix with one side of ${width}, the width of the vector, got [${shape.join(', ')}]; the autoencoder belongs to another model or place.`,
      { details: { file, tensor: name } },
    );
  if (!isFloatDtype(dtype))
    throw new ParseError(
      `"${file}": expected "${name}" in F32, F16 or BF16, got ${dtype}; convert it first.`,
      {
        details: { file, tensor: name },
      },
    );
  const featuresAreRows = columns === width && !(rows === width && name.endsWith('.weight'));
  const features = featuresAreRows ? rows : columns;
  return { file, tensor: name, features, width, featuresAreRows, entry: { ...entry, dtype } };
}

/** The matrix piece by piece, so that gigabytes are never held. */
export async function* decoderPieces({ file, entry }: SaeDecoder): AsyncGenerator<DecoderPiece> {
  const [rows = 0, columns = 1] = entry.shape;
  const rowBytes = entry.byteLength / rows;
  const rowsAtOnce = Math.max(1, Math.floor(pieceValues / columns));
  const open = await openFile(file);
  try {
    for (let first = 0; first < rows; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, rows - first);
      const piece = { offset: entry.offset + first * rowBytes, byteLength: count * rowBytes };
      yield { first, data: await readFloats(open, piece, entry.dtype) };
    }
  } finally {
    await open.handle.close();
  }
}

/** The directions of some features, `[width]` each, in one pass over the file. */
export async function readFeatures(decoder: SaeDecoder, ids: readonly number[]): Promise<Float32Array[]> {
  const { featuresAreRows, width, features } = decoder;
  const directions = ids.map(() => new Float32Array(width));
  const columns = featuresAreRows ? width : features;
  for await (const { first, data } of decoderPieces(decoder)) {
    const rows = data.length / columns;
    ids.forEach((id, i) => {
      const direction = directions[i]!;
      if (!featuresAreRows)
        for (let row = 0; row < rows; row++) direction[first + row] = data[row * columns + id]!;
      else if (id >= first && id < first + rows)
        direction.set(data.subarray((id - first) * columns, (id - first + 1) * columns));
    });
  }
  return directions;
}
