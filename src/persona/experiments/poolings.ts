import type { LanguageModel } from '../../engine/model.ts';
import { type Pooling, type Positions, poolings } from '../../engine/types.ts';
import { UsageError } from '../../errors.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import { openFolder } from '../../store/run-folder.ts';
import { directionHash } from '../../training/directions.ts';
import { chunksOf } from '../../util/chunks.ts';
import { type Condition, type Measured, measuredOf, planConditions, untouched } from '../condition.ts';
import type { JudgeProvider } from '../judge.ts';
import type { Trait } from '../trait.ts';
import { PersonaVector } from '../vector.ts';
import { plannedRollouts } from './planned-rollouts.ts';

export interface PoolingOptions {
  readonly model: LanguageModel;
  readonly trait: Trait;
  /** A vector file with several poolings, such as a run's. */
  readonly vector: string;
  readonly judge: JudgeProvider;
  /** Run folder; a stopped run in it is continued. */
  readonly out: string;
  /** 1 … L. */
  readonly layer: number;
  /** Lengths of what is added, in lengths of the response mean's vector at the layer; default 0.5, 1, 1.5 and 2. */
  readonly lengths?: readonly number[] | undefined;
  /** Default `response`, the paper's. */
  readonly positions?: Positions | undefined;
  /** Replies to a question at each length; default 3. */
  readonly samples?: number | undefined;
  /** Longest reply; default 1000, at most half the context. */
  readonly maxTokens?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((step: string, done: number, total: number) => void) | undefined;
}

/** One pooling's direction at one length. */
export interface PoolingPoint extends Measured {
  readonly pooling: Pooling;
  /** In lengths of the response mean's vector. */
  readonly length: number;
}

export interface PoolingExperiment {
  readonly trait: string;
  readonly model: string;
  readonly layer: number;
  readonly positions: Positions;
  readonly samples: number;
  /** ‖v‖ of the response mean's vector at the layer: the unit of lengths. */
  readonly unit: number;
  readonly unsteered: Measured;
  readonly points: readonly PoolingPoint[];
}

/**
 * Which tokens' mean gives the direction that steers most (the paper's Figure 11): every pooling's direction at one layer,
 * added at equal lengths to a model that is told nothing.
 *
 * @throws UsageError for a trait without evaluation questions; StoreError for a folder of another run.
 */
export async function poolingExperiment(options: PoolingOptions): Promise<PoolingExperiment> {
  const { model, trait, layer, positions = 'response', samples = 3, seed = 0 } = options;
  const { checkpoint } = model;
  const questions = trait.evaluationQuestions.map((text, index) => ({ index, text }));
  if (questions.length === 0)
    throw new UsageError(
      `Expected trait "${trait.name}" to have evaluation questions, got none; add some to its file.`,
    );
  const vectors: [Pooling, PersonaVector][] = [];
  for (const name of poolings) vectors.push([name, await PersonaVector.load(options.vector, name)]);
  const unit = vectors.find(([name]) => name === 'response_mean')![1].norm(layer);
  const lengths = options.lengths ?? [0.5, 1, 1.5, 2];
  const maxTokens = options.maxTokens ?? Math.min(1000, Math.floor(checkpoint.config.maxPositions / 2));
  const folder = await openFolder(options.out, {
    experiment: 'poolings',
    model: checkpoint.id,
    fingerprint: await checkpointFingerprint(checkpoint),
    precision: model.precision,
    trait: trait.sha256,
    judge: options.judge.id,
    vectors: vectors.map(([, vector]) => directionHash(vector.row(layer))),
    layer,
    lengths: [...lengths],
    positions,
    samples,
    max_tokens: maxTokens,
    seed,
  });
  try {
    const steered = vectors.flatMap(([name, vector]) =>
      lengths.map((length) => conditionOf(name, vector, layer, { length, unit })),
    );
    const plan = planConditions([untouched, ...steered], { step: 'poolings', questions, samples, positions });
    const scene = { ...options, sampling: { maxTokens, temperature: 1, topP: 1, seed } };
    const rows = await plannedRollouts(scene, folder.file('rollouts'), 'poolings', plan);
    const [zero, ...cells] = chunksOf(rows, questions.length * samples).map((replies) =>
      measuredOf(
        replies.map(({ scores }) => scores),
        samples,
      ),
    );
    const places = vectors.flatMap(([pooling]) => lengths.map((length) => ({ pooling, length })));
    const result: PoolingExperiment = {
      trait: trait.name,
      model: checkpoint.id,
      layer,
      positions,
      samples,
      unit,
      unsteered: zero!,
      points: places.map((place, i) => ({ ...place, ...cells[i]! })),
    };
    await folder.writeJson('poolings', result);
    return result;
  } finally {
    await folder.close();
  }
}

/** The direction of a pooling as long as `length` units. */
function conditionOf(
  name: Pooling,
  vector: PersonaVector,
  layer: number,
  { length, unit }: { readonly length: number; readonly unit: number },
): Condition {
  return {
    ...untouched,
    id: `${name}*${length}`,
    direction: 'trait',
    layer,
    strength: length,
    coef: (length * unit) / vector.norm(layer),
    vector: vector.direction(layer),
  };
}
