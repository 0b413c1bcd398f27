import { cosine, dot } from '../../util/vectors.ts';
import type { Watched } from '../projection/watch.ts';
import type { Addition } from './resolve.ts';

/** What one steering vector does, by geometry alone, to the projection on another trait's. */
export interface CrossTrait {
  readonly steered: string;
  readonly layer: number;
  readonly coef: number;
  readonly trait: string;
  /** Between the two directions at the layer. */
  readonly cosine: number;
  /** coef · v·u, with u the other trait's unit direction: how far its projection moves at that layer. */
  readonly shift: number;
}

/**
 * The cross-trait report of a steering: how far every addition moves the projection on each watched trait, at the layer
 * where it is added. What the model makes of that in later layers only a run shows.
 */
export function crossTraitReport(additions: readonly Addition[], watched: readonly Watched[]): CrossTrait[] {
  return additions.flatMap(({ name, layer, coef, vector }) =>
    watched.map((one) => {
      const direction = one.source.row(layer);
      const length = Math.sqrt(dot(direction, direction));
      return {
        steered: name,
        layer,
        coef,
        trait: one.name,
        cosine: cosine(vector, direction),
        shift: length === 0 ? 0 : (coef * dot(vector, direction)) / length,
      };
    }),
  );
}
