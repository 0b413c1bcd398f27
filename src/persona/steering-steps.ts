import { type DoseResponse, type Sweep, doseSchema, sweepSchema } from '../store/result-schema.ts';
import type { ScoredRollout, Scores } from '../store/rollout-schema.ts';
import type { RunFile } from '../store/run-folder.ts';
import type { z } from 'zod';
import { type ExtractContext, runRollouts, runStep } from './extract-context.ts';
import { dosePlan, sweepPlan } from './extract-plans.ts';
import type { PlannedRollout } from './rollouts.ts';
import type { PersonaVector } from './vector.ts';

/** The numbers of a step, and the texts that they came from. */
export interface Evaluated<T> {
  readonly result: T;
  readonly rows: readonly ScoredRollout[];
}

/** Runs the sweep and leaves `sweep-rollouts.jsonl` and `sweep.json`; null where it is left out. */
export async function sweepStep(
  context: ExtractContext,
  vector: PersonaVector,
): Promise<Evaluated<Sweep> | null> {
  const plan = sweepPlan(context.settings, vector);
  if (plan === null) return null;
  return evaluate(context, 'sweep', plan, { rows: 'sweepRollouts', result: 'sweep', schema: sweepSchema });
}

/** Runs the dose response at the sweep's layer, or the one that was asked for; null where it is left out. */
export async function doseResponseStep(
  context: ExtractContext,
  vector: PersonaVector,
  sweep: Sweep | null,
): Promise<Evaluated<DoseResponse> | null> {
  const plan = dosePlan(context.settings, vector, sweep?.layer);
  if (plan === null) return null;
  return evaluate(context, 'dose-response', plan, {
    rows: 'doseRollouts',
    result: 'dose',
    schema: doseSchema,
  });
}

/** The same for both: rollouts without activations, then their means in a file of their own. */
async function evaluate<T>(
  context: ExtractContext,
  step: 'sweep' | 'dose-response',
  plan: {
    readonly rollouts: readonly PlannedRollout[];
    readonly summarise: (scores: readonly Scores[]) => T;
  },
  names: { readonly rows: RunFile; readonly result: RunFile; readonly schema: z.ZodType<T> },
): Promise<Evaluated<T>> {
  const { folder } = context;
  return runStep(context, step, async () => {
    const paths = { rows: folder.file(names.rows), activations: null };
    const rollouts = await runRollouts(context, step, plan.rollouts, paths);
    const rows = rollouts.rows;
    await rollouts.close();
    const known = await folder.readJson(names.result, names.schema);
    const result = known ?? plan.summarise(rows.map(({ scores }) => scores));
    if (known === null) await folder.writeJson(names.result, result);
    return { value: { result, rows }, reused: rollouts.reused && known !== null };
  });
}
