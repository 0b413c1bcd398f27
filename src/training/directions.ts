import { ModelError, UsageError } from '../errors.ts';
import type { ModelConfig } from '../model/config.ts';
import { type VectorMetadata, unusableReason } from '../store/vector-file.ts';
import { importVector } from '../store/vector-import.ts';
import { sha256 } from '../util/hash.ts';

/** Directions of one trait at every layer, from a file of any of the formats. */
export interface Directions {
  readonly file: string;
  /** The trait, or the file's name where it says none. */
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  /** `[L+1, width]`, row l = layer l. */
  readonly data: Float32Array;
  readonly metadata: VectorMetadata;
}

/**
 * Reads the directions in a file: this package's vector file or run folder, the authors' `.pt`, or a control vector.
 *
 * @throws ParseError where it is neither; UsageError for a pooling that the file has not; ModelError where it belongs to
 *   a model of another shape.
 */
export async function loadDirections(
  file: string,
  model: Pick<ModelConfig, 'layers' | 'width'>,
  pooling?: string,
): Promise<Directions> {
  const found = await readDirections(file, pooling);
  if (found.layers === model.layers && found.width === model.width) return found;
  throw new ModelError(
    `"${file}": expected directions for ${model.layers} layers of width ${model.width} (the model's), got ${found.layers} layers of width ${found.width}; use a vector of this model.`,
    { details: { file, layers: found.layers, width: found.width } },
  );
}

/** The direction at a layer, `[width]`; UsageError for a layer at which the file has none of the residual stream. */
export function directionAt(directions: Directions, layer: number): Float32Array {
  const { file, layers, width, data } = directions;
  if (layer < 0 || layer > layers)
    throw new UsageError(
      `"${file}": expected a layer from 1 to ${layers} (layer l is the residual stream after block l), got ${layer}.`,
      { details: { file, layer } },
    );
  const reason = unusableReason(directions, layer);
  if (reason !== null)
    throw new UsageError(
      `"${file}": expected a layer with a direction (${usableLayers(directions).join(', ')}), got ${layer}: ${reason}.`,
      { details: { file, layer } },
    );
  return data.subarray(layer * width, (layer + 1) * width);
}

/** Layers at which a file has directions of the residual stream, out of 1 … L. */
export function usableLayers(directions: Directions): number[] {
  const all = Array.from({ length: directions.layers }, (_, i) => i + 1);
  return all.filter((layer) => unusableReason(directions, layer) === null);
}

/** SHA-256 of a direction's numbers. */
export function directionHash(vector: ArrayLike<number>): string {
  return sha256(new Uint8Array(Float32Array.from(vector).buffer));
}

async function readDirections(file: string, pooling: string | undefined): Promise<Directions> {
  const { format, file: read } = await importVector(file);
  const { layers, width, tensors, metadata } = read;
  // Files from elsewhere hold one tensor, whatever it is called.
  const name = format === 'safetensors' ? (pooling ?? metadata.pooling) : metadata.pooling;
  const data = tensors.get(name);
  if (data !== undefined) return { file, name: metadata.trait, layers, width, data, metadata };
  throw new UsageError(
    `"${file}": expected one of its poolings (${[...tensors.keys()].join(', ')}), got "${pooling}".`,
    { details: { file } },
  );
}
