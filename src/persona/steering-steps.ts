import type { Pooling } from '../engine/types.ts';
import {
  type DoseResponse,
  type HeldOut,
  type Sweep,
  doseSchema,
  heldOutSchema,
  sweepSchema,
} from '../store/result-schema.ts';
import type { ScoredRollout } from '../store/rollout-schema.ts';
import type { RunFile } from '../store/run-folder.ts';
import { type ExtractContext, type StepRollouts, runRollouts, runStep } from './extract-context.ts';
import { dosePlan, heldOutPlan, refinementPlan, sweepPlan } from './extract-plans.ts';
import { type ProjectedRollout, projectRollout, summariseHeldOut } from './held-out.ts';
import type { ExtractStep } from './progress.ts';
import type { PlannedRollout } from './rollouts.ts';
import type { PersonaVector } from './vector.ts';

/** The numbers of a step, and the texts that they came from. */
export interface Evaluated<T> {
  readonly result: T;
  readonly rows: readonly ScoredRollout[];
}

/**
 * Runs the sweep, coarse and then finer around its best cell, and leaves `sweep-rollouts.jsonl`,
 * `sweep-fine-rollouts.jsonl` and `sweep.json`; null where it is left out.
 */
export async function sweepStep(
  context: ExtractContext,
  vector: PersonaVector,
): Promise<Evaluated<Sweep> | null> {
  const plan = sweepPlan(context.settings, vector);
  if (plan === null) return null;
  const { folder } = context;
  return runStep(context, 'sweep', async () => {
    const coarse = await scoredRows(context, 'sweep', plan.rollouts, 'sweepRollouts');
    const first = plan.summarise(coarse.rows.map(({ scores }) => scores));
    const finer = refinementPlan(context.settings, first, vector);
    const fine =
      finer === null
        ? { rows: [], reused: true }
        : await scoredRows(context, 'sweep', finer.rollouts, 'fineRollouts');
    const known = await folder.readJson('sweep', sweepSchema);
    const result = known ?? finer?.summarise(fine.rows.map(({ scores }) => scores)) ?? first;
    if (known === null) await folder.writeJson('sweep', result);
    const reused = coarse.reused && fine.reused && known !== null;
    return { value: { result, rows: [...coarse.rows, ...fine.rows] }, reused };
  });
}

/** Runs the dose response at the sweep's layer, or the one that was asked for; null where it is left out. */
export async function doseResponseStep(
  context: ExtractContext,
  vector: PersonaVector,
  sweep: Sweep | null,
): Promise<Evaluated<DoseResponse> | null> {
  const plan = dosePlan(context.settings, vector, sweep);
  if (plan === null) return null;
  const { folder } = context;
  return runStep(context, 'dose-response', async () => {
    const { rows, reused } = await scoredRows(context, 'dose-response', plan.rollouts, 'doseRollouts');
    const known = await folder.readJson('dose', doseSchema);
    const result = known ?? plan.summarise(rows.map(({ scores }) => scores));
    if (known === null) await folder.writeJson('dose', result);
    return { value: { result, rows }, reused: reused && known !== null };
  });
}

/**
 * Runs held-out questions under both poles and projects their activations on the vector; leaves
 * `held-out-rollouts.jsonl`, its activations and `projections.json`. Null where it is left out.
 *
 * @param layer Whose projections are kept for a histogram.
 */
export async function heldOutStep(
  context: ExtractContext,
  vector: PersonaVector,
  layer: number,
): Promise<HeldOut | null> {
  const { settings, folder } = context;
  const { heldOut } = settings;
  if (heldOut === null) return null;
  const { pooling } = vector.metadata;
  return runStep(context, 'held-out', async () => {
    const known = await folder.readJson('heldOut', heldOutSchema);
    const paths = { rows: folder.file('heldOutRollouts'), activations: folder.file('heldOutActivations') };
    const own = { ...context, settings: { ...settings, capture: [pooling as Pooling] } };
    const rollouts = await runRollouts(own, 'held-out', heldOutPlan(settings), paths);
    try {
      const projected = known === null ? await projectAll(rollouts, vector) : [];
      const questions = settings.trait.evaluationQuestions.map((_, index) => index);
      const options = { pooling, questions, samples: heldOut.samples, shownLayer: layer };
      const value = known ?? summariseHeldOut(projected, options);
      if (known === null) await folder.writeJson('heldOut', value);
      return { value, reused: rollouts.reused && known !== null };
    } finally {
      await rollouts.close();
    }
  });
}

async function projectAll(
  { rows, record }: Pick<StepRollouts, 'rows' | 'record'>,
  vector: PersonaVector,
): Promise<ProjectedRollout[]> {
  const projected: ProjectedRollout[] = [];
  for (const [index, row] of rows.entries()) {
    // A reply without a token has no mean, and zeros in its place.
    if (row.response_ids.length === 0) continue;
    projected.push(projectRollout(row, await record(vector.metadata.pooling, index), vector));
  }
  return projected;
}

/** Makes a plan's rollouts without activations. */
async function scoredRows(
  context: ExtractContext,
  step: ExtractStep,
  plan: readonly PlannedRollout[],
  name: RunFile,
): Promise<{ readonly rows: readonly ScoredRollout[]; readonly reused: boolean }> {
  const rollouts = await runRollouts(context, step, plan, {
    rows: context.folder.file(name),
    activations: null,
  });
  await rollouts.close();
  return { rows: rollouts.rows, reused: rollouts.reused };
}
