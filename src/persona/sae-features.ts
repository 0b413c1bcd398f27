import { UsageError } from '../errors.ts';
import { type SaeDecoder, decoderPieces } from '../store/sae-decoder.ts';
import { dot } from '../util/vectors.ts';

/** A feature of a sparse autoencoder beside a direction. */
export interface SaeFeature {
  readonly id: number;
  readonly cosine: number;
}

/**
 * Cosine of a direction `[width]` with every feature's decoder direction, `[features]`: what the paper ranks features by (appendix M).
 * A feature without a direction has 0. Sums are in Float64.
 *
 * @throws UsageError where the direction has another width than the decoder, or no length.
 */
export async function featureCosines(direction: Float32Array, decoder: SaeDecoder): Promise<Float64Array> {
  const { width, features, featuresAreRows } = decoder;
  const norm = Math.sqrt(dot(direction, direction));
  if (direction.length !== width || !(norm > 0))
    throw new UsageError(
      `Expected a direction of ${width} numbers, not all of them 0, got ${direction.length}.`,
    );
  const [dots, squares] = [new Float64Array(features), new Float64Array(features)];
  for await (const { first, data } of decoderPieces(decoder)) {
    if (featuresAreRows) addRows(first, data, direction, dots, squares);
    else addColumns(first, data, direction, dots, squares);
  }
  return dots.map((value, i) => (squares[i] === 0 ? 0 : value / (norm * Math.sqrt(squares[i]!))));
}

/** The `count` features of the highest cosine, or of the highest by size; of equals the first. */
export function topFeatures(
  cosines: Float64Array,
  count: number,
  by: 'cosine' | 'size' = 'cosine',
): SaeFeature[] {
  const weight = (id: number): number => (by === 'size' ? Math.abs(cosines[id]!) : cosines[id]!);
  return Array.from(cosines, (cosine, id) => ({ id, cosine }))
    .sort((a, b) => weight(b.id) - weight(a.id) || a.id - b.id)
    .slice(0, count);
}

function addRows(
  first: number,
  data: Float32Array,
  direction: Float32Array,
  dots: Float64Array,
  squares: Float64Array,
): void {
  const width = direction.length;
  for (let row = 0; row < data.length / width; row++) {
    const feature = data.subarray(row * width, (row + 1) * width);
    dots[first + row] = dot(feature, direction);
    squares[first + row] = dot(feature, feature);
  }
}

function addColumns(
  first: number,
  data: Float32Array,
  direction: Float32Array,
  dots: Float64Array,
  squares: Float64Array,
): void {
  const features = dots.length;
  for (let row = 0; row < data.length / features; row++) {
    const along = direction[first + row]!;
    for (let id = 0; id < features; id++) {
      const value = data[row * features + id]!;
      dots[id]! += value * along;
      squares[id]! += value * value;
    }
  }
}
