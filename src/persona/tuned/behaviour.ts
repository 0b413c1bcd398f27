import type { LanguageModel } from '../../engine/model.ts';
import type { Intervention } from '../../engine/types.ts';
import { type ReplyScore, armPaths } from '../../store/arm-files.ts';
import { openRolloutStore } from '../../store/rollout-store.ts';
import { makeRollouts } from '../make-rollouts.ts';
import type { JudgeSource } from '../judge.ts';
import type { PlannedRollout } from '../rollouts.ts';
import type { Trait } from '../trait.ts';

export interface BehaviourPlan {
  /** Replies to each of the trait's evaluation questions. */
  readonly samples: (trait: Trait) => number;
  readonly maxTokens: number;
  readonly seed: number;
  /** Act on every reply. */
  readonly interventions?: readonly Intervention[];
  /** System prompts of a trait's questions, taken in turn; default: none. */
  readonly systems?: (trait: Trait) => readonly string[];
}

export interface BehaviourOptions {
  readonly model: LanguageModel;
  readonly trait: Trait;
  readonly judges: JudgeSource;
  /** Folder of the model's measurements. */
  readonly folder: string;
  readonly plan: BehaviourPlan;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * How a model answers a trait's evaluation questions: sampled at temperature 1, judged, and kept as rows that a later call
 * finds. Models that are compared share the random numbers of a question and sample.
 */
export async function measureBehaviour(options: BehaviourOptions): Promise<ReplyScore[]> {
  const { model, trait, judges, folder, plan, signal, onProgress } = options;
  const planned = planReplies(trait, plan);
  const store = await openRolloutStore({
    rows: armPaths.rollouts(folder, trait.name),
    activations: null,
    keys: planned.map(({ key }) => key),
  });
  try {
    await makeRollouts({
      model,
      trait,
      plan: planned,
      store,
      judge: judges.forTrait(trait),
      sampling: { maxTokens: plan.maxTokens, temperature: 1, topP: 1, seed: plan.seed },
      capture: [],
      keepThoughts: false,
      ...(signal === undefined ? {} : { signal }),
      onProgress: (phase, done) => {
        if (phase === 'generate') onProgress?.(done, planned.length);
      },
    });
    return store.scored().map(({ ids, scores }) => ({
      question: Number(ids['question']),
      trait: scores.trait,
      coherence: scores.coherence,
    }));
  } finally {
    await store.close();
  }
}

function planReplies(
  trait: Trait,
  { samples, interventions = [], systems }: BehaviourPlan,
): PlannedRollout[] {
  const prompts = systems?.(trait) ?? [];
  const count = samples(trait);
  return trait.evaluationQuestions.flatMap((text, question) =>
    Array.from(
      { length: count },
      (_, sample): PlannedRollout => ({
        key: `${question}/${sample}`,
        ids: { question, sample },
        system: prompts[(question + sample) % prompts.length] ?? null,
        question: text,
        stream: `behaviour/${trait.name}/${question}/${sample}`,
        interventions,
      }),
    ),
  );
}
