import { DataError, UsageError } from '../errors.ts';
import { randomStream } from '../util/random.ts';
import { availableMemory } from '../util/memory.ts';
import { defaultBatchRows, roomForRows, slotCapacity } from './cache-room.ts';
import { placeTokens } from './forward.ts';
import { checkProbe, planInterventions } from './interventions.ts';
import type { TokenPlace } from './positions.ts';
import { inOrder } from './row-order.ts';
import { checkProbeCounts } from './probe-feeds.ts';
import { type CallShape, GenerateCall } from './generate-call.ts';
import { greedy } from './sample.ts';
import type { Scheduler } from './scheduler.ts';
import { PoolAccumulator } from './pool-accumulator.ts';
import { type RowSettings, RunningRow } from './running-row.ts';
import type { RowContext } from './runtime.ts';
import { StopWatch } from './stop-strings.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { ThoughtTracker } from '../model/thinking.ts';
import type { Generated, GenerateOptions, GenerateRow } from './types.ts';

/** Continues every row, beside whatever else runs on the model; see `LanguageModel.generate`. */
export async function* generateRows(
  scheduler: Scheduler,
  rows: readonly GenerateRow[],
  options: GenerateOptions,
  { tokenizer, generation }: Pick<Checkpoint, 'tokenizer' | 'generation'>,
): AsyncGenerator<Generated> {
  checkOptions(options, tokenizer !== null);
  const { runtime } = scheduler;
  const settings = rowSettings(options, generation.eosTokenIds);
  const waiting = rows.map((row, index) => prepareRow(runtime, row, index, options, settings, tokenizer));
  if (waiting.length === 0) return;
  const call = new GenerateCall(
    inOrder(waiting, (row) => row),
    callShape(scheduler, waiting, options),
  );
  scheduler.submit(call);
  yield* call.take();
}

function callShape(
  { runtime, heldBytes }: Scheduler,
  rows: readonly RunningRow[],
  options: GenerateOptions,
): CallShape {
  const { batchRows, cacheBytes, batchTokens, adapter, signal } = options;
  const longest = Math.max(...rows.map((row) => row.prompt.length));
  // What is read behind a prompt, and the padding to an even length, lies where the reply will.
  const read = Math.max(...rows.map((row) => row.prompt.length + row.read.length + 1 - longest));
  const maxTokens = rows.some((row) => row.read.length > 0)
    ? Math.max(options.maxTokens, read)
    : options.maxTokens;
  const available = availableMemory() + heldBytes;
  const room = roomForRows(runtime.config, longest, { ...options, maxTokens }, available);
  return {
    slots: Math.min(batchRows ?? defaultBatchRows, room, rows.length),
    capacity: slotCapacity(longest, maxTokens),
    cacheBytes,
    batchTokens,
    adapter,
    signal,
  };
}

/** UsageError for an option that cannot be. */
export function checkOptions(options: GenerateOptions, hasTokenizer: boolean): void {
  const { maxTokens, temperature = 0, topP = 1, topK = 0, minP = 0, repetitionPenalty = 1 } = options;
  const { batchRows = 1, batchTokens = 1, cacheBytes = 1, logprobs = 0, stop = [] } = options;
  const whole = (value: number, least: number): boolean => Number.isInteger(value) && value >= least;
  const rules: readonly (readonly [boolean, string])[] = [
    [whole(maxTokens, 1), `a whole number of max tokens above 0, got ${maxTokens}`],
    [Number.isFinite(temperature) && temperature >= 0, `a temperature of 0 or more, got ${temperature}`],
    [topP > 0 && topP <= 1, `top-p above 0 and at most 1, got ${topP}`],
    [whole(topK, 0), `a whole number for top-k, 0 or more, got ${topK}`],
    [minP >= 0 && minP <= 1, `min-p from 0 to 1, got ${minP}`],
    [
      repetitionPenalty > 0 && repetitionPenalty < Infinity,
      `a repetition penalty above 0, got ${repetitionPenalty}`,
    ],
    [whole(batchRows, 1), `a whole number of batch rows above 0, got ${batchRows}`],
    [whole(batchTokens, 1), `a whole number of batch tokens above 0, got ${batchTokens}`],
    [cacheBytes > 0, `cache bytes above 0, got ${cacheBytes}`],
    [whole(logprobs, 0), `a whole number of log-probabilities, 0 or more, got ${logprobs}`],
    [!stop.includes(''), 'stop strings that are not empty, got an empty one'],
    [hasTokenizer || stop.length === 0, 'no stop strings for a model without a tokenizer.json, got some'],
  ];
  for (const [holds, sentence] of rules) if (!holds) throw new UsageError(`expected ${sentence}`);
}

let nextCall = 1;
/** What all rows of a call have in common. */
export function rowSettings(options: GenerateOptions, eosTokenIds: readonly number[]): RowSettings {
  const { temperature, topK, topP, minP, repetitionPenalty } = { ...greedy, ...options };
  return {
    call: nextCall++,
    maxTokens: options.maxTokens,
    eos: new Set(options.ignoreEos === true ? [] : eosTokenIds),
    capturing: (options.capture?.length ?? 0) > 0 || (options.project?.length ?? 0) > 0,
    projected: options.project?.length ?? 0,
    onToken: options.onToken,
    sampling: { temperature, topK, topP, minP, repetitionPenalty },
    logprobs: options.logprobs ?? null,
    pooling: (options.capture?.length ?? 0) > 0,
    poolingPrompt: options.capture?.includes('prompt_mean') ?? false,
  };
}

/** Checks a row against the model, and makes it ready to take tokens. @throws DataError or UsageError naming the row. */
export function prepareRow(
  runtime: RowContext,
  row: GenerateRow,
  index: number,
  options: GenerateOptions,
  settings: RowSettings,
  tokenizer: Checkpoint['tokenizer'],
): RunningRow {
  const name = `row ${index + 1}`;
  const placed = placeTokens(runtime, [...row.ids, ...(row.read ?? [])], row.ids.length, name);
  const prompt = markReplies(placed.slice(0, row.ids.length), row, name);
  if (prompt.length + options.maxTokens > runtime.context) {
    throw new DataError(
      `${name}: expected prompt and reply within the model's context of ${runtime.context} tokens, got a prompt of ${prompt.length} and up to ${options.maxTokens} new tokens; shorten the prompt or ask for fewer`,
    );
  }
  if (options.capture?.includes('boundary_mean') === true && runtime.endsSentence === null) {
    throw new UsageError(
      'pooling "boundary_mean" needs a tokenizer to find sentence ends, and the model has none',
    );
  }
  options.project?.forEach((probe, i) => checkProbe(probe, runtime.config, `probe ${i + 1}`));
  const plan = planInterventions(row.interventions ?? [], runtime.config, runtime.endsSentence !== null);
  const probes = [...(options.project ?? []), ...plan.gates];
  checkProbeCounts(probes);
  const streaming = options.onToken !== undefined || (options.stop?.length ?? 0) > 0;
  const start = {
    index,
    prompt,
    read: placed.slice(row.ids.length),
    plan,
    planKey: interventionKey(row),
    probes,
    random: randomStream('sample', options.seed ?? 0, row.key ?? String(index)),
    thoughts: thoughtsOf(runtime, row, options),
    pool: new PoolAccumulator(runtime.config, options.capture ?? [], runtime.endsSentence),
    decode:
      tokenizer === null ? null : (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecial: true }),
    decoder: streaming ? (tokenizer?.streamDecoder({ skipSpecial: true }) ?? null) : null,
    watch: new StopWatch(options.stop ?? []),
    signal: row.signal,
  };
  return new RunningRow(start, settings);
}

function thoughtsOf(
  { thinkTokens }: RowContext,
  row: GenerateRow,
  { skipThoughts }: GenerateOptions,
): ThoughtTracker | null {
  return skipThoughts === true && thinkTokens !== null ? new ThoughtTracker(thinkTokens, row.ids) : null;
}

/** Marks the tokens of earlier replies that are steered, and those that lead into them. */
function markReplies(
  places: readonly TokenPlace[],
  { steeredReplies }: GenerateRow,
  name: string,
): readonly TokenPlace[] {
  if (steeredReplies === undefined || steeredReplies.length === 0) return places;
  const marked = [...places];
  for (const { start, end } of steeredReplies) {
    if (
      !Number.isInteger(start) ||
      !Number.isInteger(end) ||
      start < 0 ||
      start > end ||
      end > places.length
    ) {
      throw new UsageError(
        `${name}: expected earlier replies within the prompt of ${places.length} tokens, got ${start} to ${end}`,
      );
    }
    for (let i = Math.max(0, start - 1); i < end; i++) {
      marked[i] = { ...(marked[i] as TokenPlace), earlier: i < start ? 'before' : 'reply' };
    }
  }
  return marked;
}

/** Rows share a prefill only when they pass the same list of interventions on the same replies, so identity is enough. */
const interventionNumbers = new WeakMap<object, Map<string, number>>();
let nextInterventionNumber = 1;
function interventionKey(row: GenerateRow): number {
  if (row.interventions === undefined || row.interventions.length === 0) return 0;
  const numbers = interventionNumbers.get(row.interventions) ?? new Map<string, number>();
  interventionNumbers.set(row.interventions, numbers);
  const replies = (row.steeredReplies ?? []).map(({ start, end }) => `${start}-${end}`).join();
  const known = numbers.get(replies);
  if (known !== undefined) return known;
  numbers.set(replies, nextInterventionNumber);
  return nextInterventionNumber++;
}
