import type { LanguageModel } from '../../engine/model.ts';
import { DataError, UsageError } from '../../errors.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import type { ScoredRollout } from '../../store/rollout-schema.ts';
import { openFolder } from '../../store/run-folder.ts';
import { directionHash } from '../../training/directions.ts';
import { dot } from '../../util/vectors.ts';
import { randomDirection } from '../condition.ts';
import type { JudgeProvider } from '../judge.ts';
import { watch } from '../projection/watch.ts';
import { encodePrompt } from '../prompt.ts';
import type { Trait } from '../trait.ts';
import type { PersonaVector } from '../vector.ts';
import { gradedPrompts } from './graded-prompts.ts';
import {
  chooseShots,
  fits,
  type MonitoringCondition,
  monitoringConditions,
  planMonitoring,
  planShots,
  shotCounts,
} from './monitoring-plan.ts';
import { renderMonitoringReport } from './monitoring-report.ts';
import { type MethodResult, type MonitoringPoint, overallR, summariseMethod } from './monitoring-results.ts';
import { plannedRollouts } from './planned-rollouts.ts';

export interface MonitoringOptions {
  readonly model: LanguageModel;
  readonly trait: Trait;
  readonly vector: PersonaVector;
  readonly judge: JudgeProvider;
  /** Run folder; a stopped run in it is continued. */
  readonly out: string;
  /** 1 … L; default: the vector's recommended layer. */
  readonly layer?: number | undefined;
  /** Eight system prompts from discouraging to encouraging; default: from the trait. */
  readonly prompts?: readonly string[] | undefined;
  /** Replies to a question under a condition; default 10. */
  readonly samples?: number | undefined;
  /** Longest reply; default 1000, at most a quarter of the context. */
  readonly maxTokens?: number | undefined;
  /** Random directions that the vector is compared with; default 200. */
  readonly randomDirections?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((step: string, done: number, total: number) => void) | undefined;
}

export interface MonitoringExperiment {
  readonly trait: string;
  readonly model: string;
  readonly layer: number;
  readonly pooling: string;
  readonly methods: readonly MethodResult[];
  readonly points: readonly MonitoringPoint[];
  /** Overall r of the graded prompts at every layer, 1 … L: shown, and never chosen by. */
  readonly by_layer: readonly (number | null)[];
  readonly samples: number;
  /** What was left out, in sentences. */
  readonly notes: readonly string[];
}

/** Longest reply, so that exemplars have room before it. */
export function monitoringMaxTokens({ config }: Pick<Checkpoint, 'config'>): number {
  return Math.min(1000, Math.floor(config.maxPositions / 4));
}

/**
 * The paper's monitoring experiment: how well the projection of the last prompt token foretells the trait in the reply,
 * over graded system prompts and over exemplars in the context.
 *
 * @throws UsageError for a trait without evaluation questions or a base model; StoreError for a folder of another run.
 */
export async function monitoringExperiment(options: MonitoringOptions): Promise<MonitoringExperiment> {
  const { model, trait, vector, samples = 10, seed = 0 } = options;
  if (trait.evaluationQuestions.length === 0)
    throw new UsageError(
      `Expected trait "${trait.name}" to have evaluation questions, got none; add some to its file.`,
    );
  if (model.checkpoint.chatTemplate === null)
    throw new UsageError(
      `Expected a chat model, since system prompts and turns are varied; ${model.checkpoint.id} is none.`,
    );
  const { layer, pooling } = watch(vector, model.checkpoint, { layer: options.layer });
  const maxTokens = options.maxTokens ?? monitoringMaxTokens(model.checkpoint);
  const prompts = options.prompts ?? gradedPrompts(model.checkpoint, trait);
  const folder = await openFolder(options.out, {
    experiment: 'monitoring',
    model: model.checkpoint.id,
    fingerprint: await checkpointFingerprint(model.checkpoint),
    precision: model.precision,
    adapter: model.adapter?.sha256 ?? null,
    trait: trait.sha256,
    judge: options.judge.id,
    vector: directionHash(vector.row(layer)),
    layer,
    prompts,
    samples,
    max_tokens: maxTokens,
    random_directions: options.randomDirections ?? 200,
    seed,
  });
  try {
    const scene = { ...options, sampling: { maxTokens, temperature: 1, topP: 1, seed } };
    const exemplars = planShots(model.checkpoint, trait);
    const shots = chooseShots(
      await plannedRollouts(scene, folder.file('shots'), 'shots', exemplars),
      shotCounts.at(-1)!,
    );
    const all = monitoringConditions(prompts, shots);
    const conditions = all.filter((one) => fits(one, { checkpoint: model.checkpoint, trait, maxTokens }));
    const plan = planMonitoring(conditions, trait.evaluationQuestions, samples);
    const rows = await plannedRollouts(scene, folder.file('rollouts'), 'rollouts', plan);
    const measured = await measure(options, conditions, rows, { layer, samples });
    const notes = leftOut(all, conditions, shots.length);
    const result = {
      trait: trait.name,
      model: model.checkpoint.id,
      layer,
      pooling,
      samples,
      ...measured,
      notes,
    };
    await folder.writeJson('monitoring', result);
    await folder.writeText('report', renderMonitoringReport(result));
    return result;
  } finally {
    await folder.close();
  }
}

/** A condition and question: the projection before its replies, and their mean score. */
function pointOf(
  { condition, q }: { readonly condition: MonitoringCondition; readonly q: number },
  replies: readonly ScoredRollout[],
  projection: number,
): MonitoringPoint {
  const scores = replies.flatMap(({ scores: one }) => one.trait ?? []);
  return {
    condition: condition.id,
    method: condition.method,
    level: condition.level,
    question: q,
    projection,
    score: scores.length === 0 ? null : scores.reduce((a, b) => a + b, 0) / scores.length,
    replies: scores.length,
  };
}

/** The state before every reply, on the vector at all layers and on random directions at its own. */
async function measure(
  { model, trait, vector, seed = 0, randomDirections = 200, signal }: MonitoringOptions,
  conditions: readonly MonitoringCondition[],
  rows: readonly ScoredRollout[],
  { layer, samples }: { readonly layer: number; readonly samples: number },
): Promise<Pick<MonitoringExperiment, 'methods' | 'points' | 'by_layer'>> {
  const { layers, width } = model.checkpoint.config;
  const questions = trait.evaluationQuestions;
  const places = conditions.flatMap((condition) =>
    questions.map((question, q) => ({ condition, question, q })),
  );
  const inputs = places.map(({ condition: { system, turns }, question }) => ({
    ids: encodePrompt(model.checkpoint, trait, { system, question, turns }).ids,
  }));
  const random = Array.from({ length: randomDirections }, (_, i) =>
    randomDirection(width, 1, seed, 'monitoring', i),
  );
  const points: MonitoringPoint[] = [];
  const others: number[][] = random.map(() => []);
  const layered: number[][] = Array.from({ length: layers }, () => []);
  const units = Array.from({ length: layers }, (_, i) => unit(vector.row(i + 1)));
  for await (const { index, pooled } of model.forward(inputs, {
    pool: ['prompt_last'],
    ...(signal && { signal }),
  })) {
    const at = (l: number): Float32Array => pooled.prompt_last!.subarray(l * width, (l + 1) * width);
    units.forEach((direction, i) => (layered[i]![index] = dot(at(i + 1), direction)));
    random.forEach((direction, i) => (others[i]![index] = dot(at(layer), direction)));
    const replies = rows.slice(index * samples, (index + 1) * samples);
    points[index] = pointOf(places[index]!, replies, dot(at(layer), units[layer - 1]!));
  }
  const indicesOf = (method: MonitoringPoint['method']): number[] =>
    points.flatMap((point, i) => (point.method === method ? [i] : []));
  const methods = (['system', 'shots'] as const).flatMap((method) => {
    const indices = indicesOf(method);
    if (indices.length === 0) return [];
    const projections = others.map((values) => indices.map((i) => values[i]!));
    return [
      summariseMethod(
        indices.map((i) => points[i]!),
        projections,
        seed,
      ),
    ];
  });
  if (points.every(({ score }) => score === null))
    throw new DataError('The judge scored none of the replies.');
  const graded = indicesOf('system');
  const byLayer = layered.map((values) =>
    overallR(graded.map((i) => ({ ...points[i]!, projection: values[i]! }))),
  );
  return { methods, points, by_layer: byLayer };
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, vector));
  return length === 0 ? vector : vector.map((x) => x / length);
}

function leftOut(
  all: readonly MonitoringCondition[],
  kept: readonly MonitoringCondition[],
  shots: number,
): string[] {
  const long = all.filter((one) => !kept.includes(one)).map(({ id }) => id);
  const most = shotCounts.at(-1)!;
  return [
    ...(shots < most
      ? [`only ${shots} of ${most} exemplars scored 50 or more; conditions with more are left out`]
      : []),
    ...(long.length > 0 ? [`longer than the model's context, and left out: ${long.join(', ')}`] : []),
  ];
}
