import { AbortError, DataError, UsageError } from '../errors.ts';
import { type Random, randomStream } from '../util/random.ts';
import { EditFeeds } from './edit-feeds.ts';
import { placeTokens } from './forward.ts';
import { type InterventionPlan, noInterventions, planInterventions } from './interventions.ts';
import { KvCache } from './kv-cache.ts';
import { PoolAccumulator } from './pool-accumulator.ts';
import type { TokenPlace } from './positions.ts';
import { noPositions, paddedLength, type PositionIndex, type Runtime, type StepResult } from './runtime.ts';
import { sampleToken } from './sample.ts';
import type { Generated, GenerateOptions, GenerateRow } from './types.ts';

/** Rows side by side beyond which a step only grows longer. */
const defaultBatchRows = 256;
/** Memory for the cache, in bytes, where the caller names no number of rows. */
const cacheBytesLimit = 2 * 1024 ** 3;

/** Rows that fill a batch up, at the prompt and in a step; see `Runtime.fillBatch`. */
const promptFiller: TokenPlace = { id: 0, index: 0, promptLength: 1 };
const tokenFiller: TokenPlace = { id: 0, index: 1, promptLength: 1 };

/** A row on its way: waiting, running in a slot, or done. */
interface RunningRow {
  readonly index: number;
  readonly prompt: readonly TokenPlace[];
  /** Equal for rows with equal prompts and interventions, which share one prefill. */
  readonly prefillKey: string;
  readonly plan: InterventionPlan;
  readonly random: Random;
  readonly ids: number[];
  readonly pool: PoolAccumulator;
}

/** Continues every row; see `LanguageModel.generate`. */
export async function* generateRows(
  runtime: Runtime,
  rows: readonly GenerateRow[],
  options: GenerateOptions,
  eosTokenIds: readonly number[],
): AsyncGenerator<Generated> {
  checkOptions(options);
  const waiting = rows.map((row, index) => prepareRow(runtime, row, index, options));
  // Like lengths side by side, so that little of a prefill is padding.
  waiting.sort((a, b) => b.prompt.length - a.prompt.length || a.index - b.index);
  if (waiting.length > 0) yield* new Batch(runtime, waiting, options, eosTokenIds).run();
}

function checkOptions(options: GenerateOptions): void {
  const { maxTokens, temperature = 0, topP = 1, batchRows = 1 } = options;
  const rules: readonly (readonly [boolean, string])[] = [
    [Number.isInteger(maxTokens) && maxTokens >= 1, `a whole number of max tokens above 0, got ${maxTokens}`],
    [Number.isFinite(temperature) && temperature >= 0, `a temperature of 0 or more, got ${temperature}`],
    [topP > 0 && topP <= 1, `top-p above 0 and at most 1, got ${topP}`],
    [Number.isInteger(batchRows) && batchRows >= 1, `a whole number of batch rows above 0, got ${batchRows}`],
  ];
  for (const [holds, sentence] of rules) if (!holds) throw new UsageError(`expected ${sentence}`);
}

function prepareRow(runtime: Runtime, row: GenerateRow, index: number, options: GenerateOptions): RunningRow {
  const name = `row ${index + 1}`;
  const prompt = placeTokens(runtime, row.ids, row.ids.length, name);
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
  return {
    index,
    prompt,
    prefillKey: `${interventionKey(row)}:${row.ids.join(',')}`,
    plan: planInterventions(row.interventions ?? [], runtime.config, runtime.endsSentence !== null),
    random: randomStream('sample', options.seed ?? 0, row.key ?? String(index)),
    ids: [],
    pool: new PoolAccumulator(runtime.config, options.capture ?? [], runtime.endsSentence),
  };
}

/** Rows share a prefill only when they pass the same list of interventions, so identity is enough. */
const interventionNumbers = new WeakMap<object, number>();
let nextInterventionNumber = 1;
function interventionKey(row: GenerateRow): number {
  if (row.interventions === undefined || row.interventions.length === 0) return 0;
  const known = interventionNumbers.get(row.interventions);
  if (known !== undefined) return known;
  interventionNumbers.set(row.interventions, nextInterventionNumber);
  return nextInterventionNumber++;
}

/**
 * Continuous batching: rows hold the first slots of the cache; a row that ends gives its slot to the last
 * one, and waiting rows join behind them. What else runs never changes a row's bits.
 */
class Batch {
  private readonly runtime: Runtime;
  private readonly waiting: RunningRow[];
  private readonly options: GenerateOptions;
  private readonly eos: ReadonlySet<number>;
  private readonly cache: KvCache;
  /** Most rows that run side by side. */
  private readonly slots: number;
  /** Index: slot. */
  private running: RunningRow[] = [];
  /** Feeds that depend on who runs, rebuilt when that changes. */
  private standing: { views: ReturnType<KvCache['view']>; edits: EditFeeds; stages: number } | null = null;

  constructor(
    runtime: Runtime,
    waiting: RunningRow[],
    options: GenerateOptions,
    eosTokenIds: readonly number[],
  ) {
    this.runtime = runtime;
    this.waiting = waiting;
    this.options = options;
    this.eos = new Set(options.ignoreEos === true ? [] : eosTokenIds);
    const longest = (waiting[0] as RunningRow).prompt.length;
    const capacity = longest + (longest % 2) + options.maxTokens;
    const fitting = Math.floor(cacheBytesLimit / KvCache.slotBytes(runtime.config, capacity));
    const slots = options.batchRows ?? Math.max(1, Math.min(defaultBatchRows, fitting));
    this.slots = Math.min(slots, waiting.length);
    // The last slots stand ready for the rows that fill a batch up.
    this.cache = new KvCache(runtime.config, this.slots + runtime.batchMultiple - 1, capacity, true);
  }

  async *run(): AsyncGenerator<Generated> {
    while (this.running.length > 0 || this.waiting.length > 0) {
      if (this.options.signal?.aborted === true)
        throw new AbortError('stopped before all rows were finished');
      if (this.shouldJoin()) yield* this.join();
      else yield* this.decode();
    }
  }

  /** A prefill of few rows costs nearly a whole step, so places are filled in groups. */
  private shouldJoin(): boolean {
    if (this.waiting.length === 0) return false;
    const free = this.slots - this.running.length;
    return this.running.length === 0 || free >= Math.min(this.waiting.length, Math.ceil(this.slots / 8));
  }

  /** Runs the prompts of waiting rows, each different prompt once, and draws their first tokens. */
  private async *join(): AsyncGenerator<Generated> {
    const first = this.running.length;
    const joining = this.waiting.splice(0, this.slots - first);
    const leaders = new Map<string, RunningRow>();
    for (const row of joining) if (!leaders.has(row.prefillKey)) leaders.set(row.prefillKey, row);
    const unique = [...leaders.values()];
    const followers = joining.filter((row) => leaders.get(row.prefillKey) !== row);
    const result = await this.prefill(unique, first);
    const ordered = [...unique, ...followers];
    ordered.forEach((row, i) => {
      const b = unique.indexOf(leaders.get(row.prefillKey) as RunningRow);
      if (i !== b) this.cache.copy(first + b, first + i, row.prompt.length);
      if (this.capturing)
        row.pool.addPrompt(this.residuals(result.taps, 2 * b), this.residuals(result.taps, 2 * b + 1));
      row.ids.push(this.sample(row, result, b));
    });
    this.running.push(...ordered);
    this.standing = null;
    yield* this.leave();
  }

  private async prefill(rows: readonly RunningRow[], first: number): Promise<StepResult> {
    const stepRows = this.runtime.fillBatch(
      rows.map((row) => ({ tokens: row.prompt, plan: row.plan })),
      { tokens: [promptFiller], plan: noInterventions },
    );
    const batch = stepRows.length;
    const positions = paddedLength(stepRows);
    const readings = this.capturing ? 2 : 0;
    const weights = new Float32Array(batch * readings * positions);
    if (this.capturing) {
      rows.forEach((row, b) => {
        const length = row.prompt.length;
        weights.fill(1 / length, 2 * b * positions, 2 * b * positions + length); // prompt mean
        weights[(2 * b + 1) * positions + length - 1] = 1; // last prompt token
      });
    }
    const plans = stepRows.map((row) => row.plan);
    return this.runtime.step({
      rows: stepRows,
      positions,
      cache: this.cache.view(first, batch),
      pool: { readings, weights },
      queries: { count: 1, index: BigInt64Array.from(stepRows, (row) => BigInt(row.tokens.length - 1)) },
      tokens: noPositions,
      edits: new EditFeeds(this.runtime.config, plans),
      stages: Math.max(...plans.map((plan) => plan.stages)),
      adapter: this.options.adapter,
    });
  }

  /** Feeds every running row its last token; a row that stopped at the limit is fed once more to be captured. */
  private async *decode(): AsyncGenerator<Generated> {
    const rows = this.running;
    this.standing ??= this.stand();
    const tokens = rows.map(
      (row): TokenPlace => ({
        id: row.ids.at(-1) as number,
        index: row.prompt.length + row.ids.length - 1,
        promptLength: row.prompt.length,
      }),
    );
    const fed = this.runtime.fillBatch(tokens, tokenFiller);
    const only: PositionIndex = { count: 1, index: new BigInt64Array(fed.length) };
    const result = await this.runtime.step({
      rows: fed.map((token) => ({ tokens: [token] })),
      positions: 1,
      cache: this.standing.views,
      pool: { readings: 0, weights: new Float32Array(0) },
      queries: only,
      tokens: this.capturing ? only : noPositions,
      edits: this.standing.edits,
      stages: this.standing.stages,
      adapter: this.options.adapter,
    });
    rows.forEach((row, b) => {
      if (this.capturing) row.pool.addToken(tokens[b] as TokenPlace, this.residuals(result.tokens, b));
      if (row.ids.length < this.options.maxTokens) row.ids.push(this.sample(row, result, b));
      else row.pool.complete = true;
    });
    yield* this.leave();
  }

  private stand(): { views: ReturnType<KvCache['view']>; edits: EditFeeds; stages: number } {
    const plans = this.runtime.fillBatch(
      this.running.map((row) => row.plan),
      noInterventions,
    );
    return {
      views: this.cache.view(0, plans.length),
      edits: new EditFeeds(this.runtime.config, plans),
      stages: Math.max(...plans.map((plan) => plan.stages)),
    };
  }

  /** Hands out the rows that are done and closes the gaps that they leave. */
  private *leave(): Generator<Generated> {
    for (let slot = this.running.length - 1; slot >= 0; slot--) {
      const row = this.running[slot] as RunningRow;
      const stopped = this.eos.has(row.ids.at(-1) as number);
      if (!stopped && !this.atLimit(row)) continue;
      const last = this.running.length - 1;
      const moved = this.running[last] as RunningRow;
      if (slot !== last) this.cache.copy(last, slot, moved.prompt.length + moved.ids.length);
      this.running[slot] = moved;
      this.running.pop();
      this.standing = null;
      yield {
        index: row.index,
        ids: stopped ? row.ids.slice(0, -1) : row.ids,
        finishReason: stopped ? 'stop' : 'length',
        pooled: row.pool.pooled(),
      };
    }
  }

  /** A token's residual exists once it is fed, so a captured row needs one step beyond its last token. */
  private atLimit(row: RunningRow): boolean {
    return row.ids.length === this.options.maxTokens && (!this.capturing || row.pool.complete);
  }

  private get capturing(): boolean {
    return (this.options.capture?.length ?? 0) > 0;
  }

  private sample(row: RunningRow, result: StepResult, b: number): number {
    const { vocabSize } = this.runtime.config;
    const logits = result.logits.subarray(b * vocabSize, (b + 1) * vocabSize);
    const { temperature = 0, topP = 1 } = this.options;
    return sampleToken(logits, { temperature, topP }, row.random);
  }

  /** Reading `i` of taps or tokens, `[L+1, width]`. */
  private residuals(readings: Float32Array, i: number): Float32Array {
    const size = (this.runtime.config.layers + 1) * this.runtime.config.width;
    return readings.subarray(i * size, (i + 1) * size);
  }
}
