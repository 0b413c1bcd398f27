import { z } from 'zod';
import type { OpenFolder } from '../store/run-folder.ts';
import { batchPlanner } from './batches.ts';
import { type EffectReport, measureEffect } from './effect.ts';
import type { TrainListener } from './progress.ts';
import type { TrainSettings } from './settings.ts';

const cosines = z.object({ without: z.number(), with: z.number() });

/** `steering_effect.json`: what the interventions do to the first rows before anything is trained. */
const effectSchema: z.ZodType<EffectReport> = z.object({
  rows: z.int(),
  tokens: z.int(),
  loss: cosines,
  layers: z.array(
    z.object({
      layer: z.int(),
      intervenes: z.boolean(),
      norm: z.number(),
      moved: z.number(),
      projectionChange: z.number().nullable(),
      gradientCosine: cosines.nullable(),
    }),
  ),
  unmoved: z.array(z.int()),
});

/**
 * Measures once a run, on the rows of its first pass, whether the interventions take effect: one that silently does
 * nothing trains an unprotected model. Null where none act.
 */
export async function steeringEffect(
  { checkpoint, trainerOptions, plan, rows }: TrainSettings,
  folder: OpenFolder,
  notify: TrainListener,
): Promise<EffectReport | null> {
  if ((trainerOptions.interventions ?? []).length === 0) return null;
  const before = await folder.readJson('steeringEffect', effectSchema);
  if (before !== null) return before;
  const first = (batchPlanner(plan)(0).passes[0] ?? []).map((index) => rows.row(index));
  const effect = await measureEffect(checkpoint, trainerOptions, first);
  await folder.writeJson('steeringEffect', effect);
  if (effect.unmoved.length > 0)
    notify({
      type: 'notice',
      message: `The interventions at layer ${effect.unmoved.join(', ')} move nothing in the first rows; check vector, strength and positions.`,
    });
  return effect;
}
