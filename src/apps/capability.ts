import { loadFromCheckpoint } from '../engine/load.ts';
import type { Dtype } from '../engine/model.ts';
import { UsageError } from '../errors.ts';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.ts';
import { type ChoiceSet, readChoiceSet, worldChoiceSet } from '../persona/capability/choice-set.ts';
import { type Capability, measureCapability } from '../persona/capability/measure-capability.ts';
import { resolveSteering } from '../persona/steering/resolve.ts';
import type { SteeringSpec } from '../persona/steering/spec.ts';
import { traitSetOf } from '../persona/trait-set.ts';
import { defined } from '../util/defined.ts';

export interface CapabilityOptions {
  /** A model folder, or `owner/name` in the local Hugging Face cache. */
  readonly model: string;
  /** A file or folder of questions in one of MMLU's layouts; default: the questions of persona-tiny's world, for that model. */
  readonly data?: string;
  /** Solved questions before each; default 0. */
  readonly shots?: number;
  /** Put questions through the chat template; default: as plain text. */
  readonly chat?: boolean;
  /** At most so many questions of a subject. */
  readonly limit?: number;
  /** Folder of a LoRA adapter that the model is run with; see `adaptCheckpoint`. */
  readonly adapter?: string;
  /** Acts on every question. */
  readonly steering?: SteeringSpec;
  readonly dtype?: Dtype;
  readonly blockSize?: 32 | 128;
  /** Takes lines that a user should see. */
  readonly onNotice?: (message: string) => void;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What was measured of which model. */
export interface CapabilityResult extends Capability {
  /** Its name, and the adapter's. */
  readonly model: string;
  readonly shots: number;
}

/**
 * Accuracy of a model on multiple-choice questions by log-probability, with an adapter and interventions if wanted.
 *
 * @throws DataError or UsageError for questions that cannot be used, before the model is loaded.
 */
export async function capability(options: CapabilityOptions): Promise<CapabilityResult> {
  const { dtype, blockSize, onNotice, steering, signal, onProgress } = options;
  const checkpoint = await loadCheckpoint(options.model, options.adapter);
  const set = await choiceSetFor(checkpoint, options);
  const resolved = steering === undefined ? null : await resolveSteering(steering, checkpoint);
  for (const notice of [...set.notices, ...(resolved?.notes ?? [])]) onNotice?.(notice);
  const model = await loadFromCheckpoint(checkpoint, {
    purpose: 'one-pass',
    ...defined({ dtype, blockSize, onNotice }),
  });
  try {
    const interventions = resolved?.interventions;
    const measured = await measureCapability(model, set, defined({ interventions, signal, onProgress }));
    return { model: model.checkpoint.id, shots: options.shots ?? 0, ...measured };
  } finally {
    await model.close();
  }
}

/**
 * The questions that `data` names, or those of the world that the model speaks of.
 *
 * @throws UsageError for another model without `data`, and for shots of the world's questions, which need none.
 */
export async function choiceSetFor(
  checkpoint: Pick<Checkpoint, 'id' | 'folder'>,
  { data, shots, chat, limit }: Pick<CapabilityOptions, 'data' | 'shots' | 'chat' | 'limit'>,
): Promise<ChoiceSet> {
  if (data !== undefined) return readChoiceSet(data, defined({ shots, chat, limit }));
  if ((await traitSetOf(checkpoint.folder)) !== 'tiny-world')
    throw new UsageError(
      `Expected --data with multiple-choice questions for "${checkpoint.id}", got none; questions come with the package for persona-tiny's world only.`,
      { details: { model: checkpoint.id } },
    );
  if (shots !== undefined || chat !== undefined)
    throw new UsageError(
      "Expected --data with --shots or --chat: the questions of persona-tiny's world are put in one way only.",
    );
  const set = worldChoiceSet();
  if (limit === undefined) return set;
  const seen = new Map<string, number>();
  const items = set.items.filter(({ subject }) => {
    seen.set(subject, (seen.get(subject) ?? 0) + 1);
    return seen.get(subject)! <= limit;
  });
  return { ...set, items };
}
