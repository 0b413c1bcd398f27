import { defaultBatchRows, roomForRows } from '../../engine/cache-room.ts';
import { precisionOf } from '../../engine/load.ts';
import type { JudgeSource } from '../../persona/judge.ts';
import { defined } from '../../util/defined.ts';
import { freeBytes } from '../../util/free-bytes.ts';
import { sha256 } from '../../util/hash.ts';
import { type CountedStep, type Estimate, assemble } from '../estimate.ts';
import { estimateJudge } from '../estimate-extract.ts';
import { countTexts, memoryFor, warnings, weightsToQuantise } from '../estimate-parts.ts';
import { type RateOptions, findRate } from '../estimate-rate.ts';
import type { PriceTable } from '../judge-prices.ts';
import { controlSize } from './auto.ts';
import { type Plan, type ScreenOptions, planScreening } from './plan.ts';
import { encodeSample, samplesOf } from './samples.ts';
import { sampledRows } from './sampled-rows.ts';

export type EstimateScreenOptions = RateOptions &
  Omit<ScreenOptions, 'onNotice'> & {
    readonly judges?: JudgeSource | undefined;
    readonly prices?: PriceTable | undefined;
  };

/** What of a data set costs time, memory and disk. */
interface Counts {
  samples: number;
  tokens: number;
  replyTokens: number;
  characters: number;
  longestPrompt: number;
  /** New tokens of the model's own replies, if each is as long as allowed; by prompt, so that equal ones count once. */
  readonly prompts: Map<string, number>;
}

/**
 * What `screen` will take; samples and tokens are counted exactly, by reading and encoding all rows.
 *
 * @throws what `screen` throws for its input.
 */
export async function estimateScreen(options: EstimateScreenOptions): Promise<Estimate> {
  const plan = await planScreening(options);
  const { checkpoint, mode } = plan;
  const { dtype, blockSize, out } = options;
  const counts = await countSamples(plan);
  const form = { dtype, blockSize };
  const own = mode === 'full' || mode === 'auto' ? ownReplies(plan, counts) : null;
  const { rate, notes } = await findRate(checkpoint, form, options);
  const generation =
    own === null ? null : { rows: own.sideBySide, tokens: counts.longestPrompt + plan.maxTokens };
  const memory = memoryFor(checkpoint, { ...form, purpose: 'generate' }, generation);
  const quantised = await weightsToQuantise(checkpoint, form, options.cacheFolder);
  const files = [{ name: out, bytes: writtenBytes(counts) }, ...quantised];
  const disk = { files, free: await freeBytes(out) };
  return assemble({
    command: 'screen',
    model: checkpoint.id,
    precision: precisionOf(defined(form)),
    steps: [countTexts('replies in the data', counts.samples, counts.tokens), ...(own === null ? [] : [own])],
    rate,
    memory,
    disk,
    judge: judgeOf(plan, counts, options),
    notes: [...notes, ...modeNotes(plan, counts), ...warnings({ memory, disk })],
  });
}

async function countSamples({ options, dataset, checkpoint, ...plan }: Plan): Promise<Counts> {
  const limits = { maxPromptTokens: plan.maxPromptTokens, context: checkpoint.config.maxPositions };
  const counts: Counts = {
    samples: 0,
    tokens: 0,
    replyTokens: 0,
    characters: 0,
    longestPrompt: 0,
    prompts: new Map(),
  };
  for await (const row of sampledRows(dataset, options.sample ?? null, plan.seed)) {
    for (const sample of samplesOf(row, plan.turns)) {
      const encoded = encodeSample(checkpoint, sample, limits);
      if (typeof encoded === 'string') continue;
      const { promptIds, replyIds, prompt, reply } = encoded;
      counts.samples++;
      counts.tokens += promptIds.length + replyIds.length;
      counts.replyTokens += replyIds.length;
      counts.characters += prompt.reduce((sum, { content }) => sum + content.length, reply.length);
      counts.longestPrompt = Math.max(counts.longestPrompt, promptIds.length);
      const limit = Math.min(plan.maxTokens, limits.context - promptIds.length);
      counts.prompts.set(sha256(promptIds.join(' ')).slice(0, 16), limit);
    }
  }
  return counts;
}

/** The prompts are run with the replies in the data; in mode `auto` this is the control alone. */
function ownReplies({ options, checkpoint, mode, maxTokens }: Plan, counts: Counts): CountedStep {
  const all = counts.prompts.size;
  const rows = mode === 'auto' ? Math.min(all, controlSize(counts.samples)) : all;
  const newTokens = [...counts.prompts.values()].reduce((sum, limit) => sum + limit, 0);
  const fitting = roomForRows(checkpoint.config, Math.max(1, counts.longestPrompt), { maxTokens });
  return {
    name: mode === 'auto' ? 'own replies, control' : 'own replies',
    rows,
    promptTokens: 0,
    runTokens: 0,
    newTokens: all === 0 ? 0 : Math.round((newTokens * rows) / all),
    sideBySide: Math.min(fitting, defaultBatchRows, options.shardSamples ?? 512, rows),
  };
}

/** Each text stands in its part, among the scored rows as lines and as Parquet, and among the flagged or kept ones. */
function writtenBytes({ samples, characters }: Counts): number {
  return 4 * characters + 1500 * samples;
}

function judgeOf(
  { traits }: Plan,
  { samples, replyTokens }: Counts,
  { judges, prices }: EstimateScreenOptions,
): Estimate['judge'] {
  if (judges === undefined || traits.length === 0) return null;
  const each = traits.map((trait) =>
    estimateJudge(judges.forTrait(trait), [{ rows: samples, newTokens: replyTokens }], prices),
  );
  const total = (count: (one: (typeof each)[number]) => number): number =>
    each.reduce((sum, one) => sum + count(one), 0);
  return {
    ...each[0]!,
    calls: total(({ calls }) => calls),
    inputTokens: total(({ inputTokens }) => inputTokens),
    outputTokens: total(({ outputTokens }) => outputTokens),
    dollars: each.some(({ dollars }) => dollars === null) ? null : total(({ dollars }) => dollars!),
  };
}

function modeNotes({ mode }: Plan, { prompts }: Counts): string[] {
  if (mode !== 'auto') return [];
  return [
    `Mode auto also runs what lies near a threshold, which the control will tell; at most all ${prompts.size} different prompts.`,
  ];
}
