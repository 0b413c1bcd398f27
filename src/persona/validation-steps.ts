import type { DoseResponse, HeldOut, Sweep } from '../store/result-schema.ts';
import type { ScoredRollout } from '../store/rollout-schema.ts';
import type { ExtractContext } from './extract-context.ts';
import { doseResponseStep, heldOutStep, sweepStep } from './steering-steps.ts';
import type { PersonaVector } from './vector.ts';

/** What one protocol (the tokens that a vector is the mean of, and where it is added) was measured to do. */
export interface Validation {
  readonly pooling: string;
  readonly positions: string;
  /** Each null where it was left out, or the trait has too few evaluation questions. */
  readonly sweep: Sweep | null;
  readonly sweepRows: readonly ScoredRollout[];
  readonly dose: DoseResponse | null;
  readonly doseRows: readonly ScoredRollout[];
  readonly heldOut: HeldOut | null;
}

/**
 * Measures a vector under the context's settings, in its folder: sweep on one half of the evaluation questions, dose response
 * and the sweep's choice on the other, and how well the projection tells held-out rollouts apart.
 */
export async function validationSteps(context: ExtractContext, vector: PersonaVector): Promise<Validation> {
  const sweep = await sweepStep(context, vector);
  const dose = await doseResponseStep(context, vector, sweep?.result ?? null);
  const layer = sweep?.result.layer ?? dose?.result.layer ?? Math.ceil(vector.layers / 2);
  const heldOut = await heldOutStep(context, vector, layer);
  return {
    pooling: vector.metadata.pooling,
    positions: context.settings.positions,
    sweep: sweep?.result ?? null,
    sweepRows: sweep?.rows ?? [],
    dose: dose?.result ?? null,
    doseRows: dose?.rows ?? [],
    heldOut,
  };
}
