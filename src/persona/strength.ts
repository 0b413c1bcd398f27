import { UsageError } from '../errors.ts';
import type { PersonaVector } from './vector.ts';

/**
 * How a steering strength is meant: `fraction`, the length of what is added as a share of the residual stream's own mean
 * norm at that layer; `norm`, its length; `coef`, the coefficient of the raw vector, as the paper counts. Raw
 * coefficients carry neither from model to model nor from layer to layer; fractions do, roughly.
 */
export const strengthUnits = ['fraction', 'norm', 'coef'] as const;
export type StrengthUnit = (typeof strengthUnits)[number];

/** What a strength counts, in words; see `strengthUnits`. */
export const unitNames: Readonly<Record<StrengthUnit, string>> = {
  fraction: "length as a fraction of the residual stream's norm",
  norm: 'length',
  coef: 'coefficient of the raw vector',
};

/**
 * The coefficient of the raw vector at a layer that a strength stands for.
 *
 * @throws UsageError where the vector is zero at the layer, or knows no norm of the residual stream there.
 */
export function coefficientOf(
  vector: PersonaVector,
  layer: number,
  strength: number,
  unit: StrengthUnit,
): number {
  if (unit === 'coef' || strength === 0) return strength;
  const norm = vector.norm(layer);
  if (norm === 0) {
    throw new UsageError(
      `Expected a vector that is not zero at layer ${layer}, got one that is; its strength there can only be a coefficient.`,
      { details: { layer } },
    );
  }
  if (unit === 'norm') return strength / norm;
  const residual = vector.metadata.residualNorms?.[layer];
  if (residual === undefined) {
    throw new UsageError(
      `Expected a vector that knows the norm of the residual stream at layer ${layer}, got one without; give the strength as a coefficient or a norm.`,
      { details: { layer } },
    );
  }
  return (strength * residual) / norm;
}
