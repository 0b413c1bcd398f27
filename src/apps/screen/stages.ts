import type { LanguageModel } from '../../engine/model.ts';
import { PartStore } from '../../store/screen-folder.ts';
import {
  type JudgedRow,
  type ScreenRow,
  judgedRowSchema,
  screenRowSchema,
} from '../../store/screen-schema.ts';
import { type AutoScored, ranked, rowsAt, runAuto } from './auto.ts';
import type { RankedRow } from './differences.ts';
import { judgePart } from './judge-rows.ts';
import { OwnReplies } from './own-replies.ts';
import { type ScorePart, partScorer } from './part-scorer.ts';
import { type PartTotals, partsOf, partsOfRows, runParts } from './run-parts.ts';
import type { SampleMode } from './score.ts';
import { sampledRows } from './sampled-rows.ts';
import { type Plan, recipeOf } from './plan.ts';
import { sha256 } from '../../util/hash.ts';

/** How parts are scored: here one at a time, or many at once elsewhere. */
export interface Stage {
  readonly score: ScorePart;
  readonly atOnce: number;
  /** What a progress view says beside the numbers. */
  readonly detail: () => string;
}

/** Opens what scores parts: the model here with the cache of its own replies where they are needed, or a queue. */
export async function withStage<T>(
  plan: Plan,
  model: LanguageModel,
  work: (stage: Stage) => Promise<T>,
): Promise<T> {
  if (plan.options.queue !== undefined) return withQueue(plan, plan.options.queue, work);
  const { checkpoint, fingerprint, watched, mode, maxTokens, maxPromptTokens } = plan;
  const needsOwn = mode === 'full' || mode === 'auto';
  const own = needsOwn ? await OwnReplies.open(model, fingerprint, watched, maxTokens) : null;
  try {
    const limits = { maxPromptTokens, context: checkpoint.config.maxPositions };
    const score = partScorer(checkpoint, limits, { model, watched, own });
    return await work({ score, atOnce: 1, detail: () => '' });
  } finally {
    await own?.close();
  }
}

/** How often the workers are counted, in milliseconds. */
const countMs = 1000;

async function withQueue<T>(plan: Plan, queue: string, work: (stage: Stage) => Promise<T>): Promise<T> {
  const { options, fingerprint, watched, maxTokens, maxPromptTokens } = plan;
  const [{ openQueueScorer, partsAhead }, { parseRedisAddress }] = await Promise.all([
    import('./queue/queue-scorer.ts'),
    import('./queue/redis-address.ts'),
  ]);
  const scorer = await openQueueScorer(parseRedisAddress(queue), {
    version: 1,
    run: sha256(JSON.stringify(await recipeOf(plan))).slice(0, 16),
    fingerprint,
    dtype: options.dtype ?? 'fp32',
    block_size: options.blockSize ?? 32,
    max_tokens: maxTokens,
    max_prompt_tokens: maxPromptTokens,
    vectors: watched.map(({ name, layer, vector }) => {
      return { name, layer, values: Buffer.from(Float32Array.from(vector).buffer).toString('base64') };
    }),
  });
  let workers = await scorer.workers();
  if (workers === 0)
    options.onNotice?.('no worker is there yet; start some with `persona worker --queue` and the address');
  const count = setInterval(() => {
    void scorer.workers().then(
      (now) => (workers = now),
      () => undefined,
    );
  }, countMs);
  try {
    const detail = (): string => `${workers} worker${workers === 1 ? '' : 's'}`;
    return await work({ score: scorer.score, atOnce: partsAhead, detail });
  } finally {
    clearInterval(count);
    await scorer.close();
  }
}

/** All rows, scored and in their order. */
export interface ScoredRows {
  readonly rows: () => AsyncIterable<RankedRow>;
  /** As the first pass over all of them scored them. */
  readonly cheap: () => AsyncIterable<ScreenRow>;
  readonly totals: PartTotals;
  readonly auto: AutoScored | null;
}

/** Scores the data set part by part; in mode `auto` also what of it is worth mode `full`. */
export async function scoreAll(
  plan: Plan,
  folder: string,
  { score, atOnce, detail }: Stage,
): Promise<ScoredRows> {
  const { options, mode, watched, rule, seed } = plan;
  const { signal, onProgress } = options;
  const size = options.shardSamples ?? 512;
  const first: SampleMode = mode === 'auto' ? 'prompt-last' : mode;
  const store = await PartStore.open(folder, 'shards', screenRowSchema);
  const totals = await runParts({
    parts: partsOfRows(sampledRows(plan.dataset, options.sample ?? null, seed), plan.turns, size),
    store,
    work: (part, ending) => score(part, first, ending),
    signal,
    atOnce,
    onProgress: (done) => onProgress?.('screening', done, Infinity, detail()),
  });
  const cheap = (): AsyncIterable<ScreenRow> => store.rows(totals.shards);
  if (mode !== 'auto') return { rows: () => ranked(cheap()), cheap, totals, auto: null };
  const auto = await runAuto({
    watched,
    rule,
    seed,
    cheap,
    runFull: async (kind, indices) => {
      const full = await PartStore.open(folder, kind, screenRowSchema);
      const { shards } = await runParts({
        parts: partsOf(rowsAt(cheap(), indices), size),
        store: full,
        work: (part, ending) => score(part, 'full', ending),
        signal,
        atOnce,
        onProgress: (done) => onProgress?.(autoSteps[kind], done, indices.length, detail()),
      });
      return () => full.rows(shards);
    },
  });
  return { rows: auto.rows, cheap, totals, auto };
}

const autoSteps = { control: 'mode full, control', near: 'mode full, near the threshold' } as const;

/** Has a judge read what was scored, where one is asked for. */
export async function judgeAll(
  { options, traits }: Plan,
  model: LanguageModel,
  folder: string,
  rows: () => AsyncIterable<RankedRow>,
): Promise<{ readonly rows: () => AsyncIterable<RankedRow>; readonly judges: readonly string[] | null }> {
  const { judge, signal, onProgress } = options;
  if (judge === undefined) return { rows, judges: null };
  const source = await judge.open(model);
  try {
    const judges = traits.map((trait) => source.forTrait(trait));
    const store = await PartStore.open(folder, 'judged', judgedRowSchema);
    const { shards } = await runParts({
      parts: partsOf(screenedRows(rows()), options.shardSamples ?? 512),
      store,
      work: (part, ending) => judgePart(part, judges, ending),
      signal,
      onProgress: (done) => onProgress?.('judging', done, Infinity),
    });
    return { rows: () => withScores(rows(), store.rows(shards)), judges: judges.map(({ id }) => id) };
  } finally {
    await source.close();
  }
}

async function* screenedRows(rows: AsyncIterable<RankedRow>): AsyncGenerator<ScreenRow> {
  for await (const { row } of rows) yield row;
}

async function* withScores(
  rows: AsyncIterable<RankedRow>,
  judged: AsyncIterable<JudgedRow>,
): AsyncGenerator<RankedRow> {
  const scores = judged[Symbol.asyncIterator]();
  for await (const row of rows) {
    const { value } = (await scores.next()) as { value: JudgedRow };
    yield { ...row, scores: value.scores };
  }
  // The last row was taken; this closes its file.
  await scores.return?.();
}
