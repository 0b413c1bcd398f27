import type { LanguageModel } from '../../engine/model.ts';
import type { ScoredRollout } from '../../store/rollout-schema.ts';
import { openRolloutStore } from '../../store/rollout-store.ts';
import type { JudgeProvider } from '../judge.ts';
import { makeRollouts } from '../make-rollouts.ts';
import type { PlannedRollout, Sampling } from '../rollouts.ts';
import type { Trait } from '../trait.ts';

/** What the rollouts of an experiment share. */
export interface RolloutScene {
  readonly model: LanguageModel;
  readonly trait: Trait;
  readonly judge: JudgeProvider;
  readonly sampling: Sampling;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((step: string, done: number, total: number) => void) | undefined;
}

/**
 * A plan's rollouts in planned order, made and judged as far as `file` lacks them.
 *
 * @param name Of the step, in progress.
 */
export async function plannedRollouts(
  scene: RolloutScene,
  file: string,
  name: string,
  plan: readonly PlannedRollout[],
): Promise<readonly ScoredRollout[]> {
  const { model, trait, judge, sampling, signal, onProgress } = scene;
  const keys = plan.map(({ key }) => key);
  const store = await openRolloutStore({ rows: file, activations: null, keys });
  try {
    await makeRollouts({
      model,
      trait,
      plan,
      store,
      judge,
      sampling,
      capture: [],
      keepThoughts: false,
      ...(signal && { signal }),
      onProgress: (phase, done) =>
        onProgress?.(phase === 'judge' ? `judging ${name}` : name, done, plan.length),
    });
    return store.scored();
  } finally {
    await store.close();
  }
}
