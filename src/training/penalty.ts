import { UsageError } from '../errors.ts';
import type { ModelConfig } from '../model/config.ts';
import type { PenaltyLayer, PenaltyPlan } from './loss-seeds.ts';
import type { ProjectionPenalty } from './types.ts';

/**
 * The penalty's directions, layer by layer, at unit length; null where its weight is 0.
 * @throws UsageError for a layer or width that the model has not, a vector of zeros, or a weight that is no number ≥ 0.
 */
export function planPenalty(penalty: ProjectionPenalty, config: ModelConfig): PenaltyPlan | null {
  const { weight, directions } = penalty;
  if (!(weight >= 0 && Number.isFinite(weight)))
    throw new UsageError(`expected a finite penalty weight ≥ 0, got ${weight}`);
  if (directions.length === 0) throw new UsageError('expected a direction to penalise, got none');
  const byLayer = new Map<number, number[][]>();
  directions.forEach(({ layer, vector }, i) => {
    const name = `penalty direction ${i + 1}`;
    if (!Number.isInteger(layer) || layer < 1 || layer > config.layers)
      throw new UsageError(`${name}: expected a layer from 1 to ${config.layers}, got ${layer}`);
    if (vector.length !== config.width)
      throw new UsageError(
        `${name}: expected a vector of the model's width ${config.width}, got ${vector.length} numbers; it may belong to another model`,
      );
    const numbers = Array.from(vector);
    const length = Math.hypot(...numbers);
    if (!(length > 0 && Number.isFinite(length)))
      throw new UsageError(
        `${name}: expected finite numbers that are not all zeros, since a direction is needed`,
      );
    byLayer.set(layer, [...(byLayer.get(layer) ?? []), numbers.map((x) => x / length)]);
  });
  if (weight === 0) return null;
  const layers = [...byLayer].map(
    ([layer, vectors]): PenaltyLayer => ({ layer, directions: Float32Array.from(vectors.flat()) }),
  );
  return { weight, layers };
}
