import { basename, extname } from 'node:path';
import { ModelError, UsageError } from '../errors.ts';
import type { ModelConfig } from '../model/config.ts';
import { readPtTensor } from '../model/pt-file.ts';
import { readVectorFile } from '../store/vector-file.ts';
import { sha256 } from '../util/hash.ts';

/** Directions of one trait at every layer, from a vector file or the authors' `.pt`. */
export interface Directions {
  readonly file: string;
  /** The trait, or the file's name where it says none. */
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  /** `[L+1, width]`, row l = layer l. */
  readonly data: Float32Array;
  readonly recommendedLayer: number | null;
  /** Whether row L was taken after the final norm, so that it is no direction of the residual stream. */
  readonly lastRowNormed: boolean;
}

/**
 * Reads the directions in a file: this package's vector file, or with the ending `.pt` the authors' (a float tensor
 * `[L+1, width]`).
 *
 * @throws ParseError where it is neither; UsageError for a pooling that the file has not; ModelError where it belongs to
 *   a model of another shape.
 */
export async function loadDirections(
  file: string,
  model: Pick<ModelConfig, 'layers' | 'width'>,
  pooling?: string,
): Promise<Directions> {
  const found = extname(file) === '.pt' ? await fromPt(file) : await fromVectorFile(file, pooling);
  if (found.layers === model.layers && found.width === model.width) return found;
  throw new ModelError(
    `"${file}": expected directions for ${model.layers} layers of width ${model.width} (the model's), got ${found.layers} layers of width ${found.width}; use a vector of this model.`,
    { details: { file, layers: found.layers, width: found.width } },
  );
}

/** The direction at a layer, `[width]`; UsageError for a layer at which the file has none of the residual stream. */
export function directionAt(directions: Directions, layer: number): Float32Array {
  const { file, layers, width, data, lastRowNormed } = directions;
  if (layer < 0 || layer > layers)
    throw new UsageError(
      `"${file}": expected a layer from 1 to ${layers} (layer l is the residual stream after block l), got ${layer}.`,
      { details: { file, layer } },
    );
  if (layer === layers && lastRowNormed)
    throw new UsageError(
      `"${file}": row ${layer} of a .pt file was taken after the model's final norm, so it cannot be added to the stream after block ${layer}; use a layer from 1 to ${layers - 1}, or a vector that "persona extract" made.`,
      { details: { file, layer } },
    );
  return data.subarray(layer * width, (layer + 1) * width);
}

/** Layers at which a file has directions of the residual stream: 1 … L, or one fewer. */
export function usableLayers({ layers, lastRowNormed }: Directions): number[] {
  return Array.from({ length: lastRowNormed ? layers - 1 : layers }, (_, i) => i + 1);
}

/** SHA-256 of a direction's numbers. */
export function directionHash(vector: ArrayLike<number>): string {
  return sha256(new Uint8Array(Float32Array.from(vector).buffer));
}

async function fromVectorFile(file: string, pooling: string | undefined): Promise<Directions> {
  const { layers, width, tensors, metadata } = await readVectorFile(file);
  const data = tensors.get(pooling ?? metadata.pooling);
  if (data === undefined)
    throw new UsageError(
      `"${file}": expected one of its poolings (${[...tensors.keys()].join(', ')}), got "${pooling}".`,
      { details: { file } },
    );
  const { trait: name, recommendedLayer } = metadata;
  return { file, name, layers, width, data, recommendedLayer, lastRowNormed: false };
}

async function fromPt(file: string): Promise<Directions> {
  const { shape, data } = await readPtTensor(file);
  const [rows, width] = shape;
  if (shape.length !== 2 || rows === undefined || width === undefined || rows < 2)
    throw new ModelError(
      `"${file}": expected a tensor [L+1, width] with a row for each layer, got [${shape.join(', ')}].`,
      { details: { file } },
    );
  return {
    file,
    name: basename(file, '.pt'),
    layers: rows - 1,
    width,
    data,
    recommendedLayer: null,
    lastRowNormed: true,
  };
}
