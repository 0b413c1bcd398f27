import { AbortError, DataError } from '../errors.ts';
import type { Adapter } from '../model/adapter.ts';
import { type TokenLane, type TokenTree, planTree } from './continuation-tree.ts';
import { EditFeeds } from './edit-feeds.ts';
import { placeTokens } from './forward.ts';
import { noInterventions } from './interventions.ts';
import { KvCache } from './kv-cache.ts';
import type { TokenPlace } from './positions.ts';
import { Prefill, type PrefillRow } from './prefill.ts';
import { noPositions, type Runtime } from './runtime.ts';
import { logPartition } from './sample.ts';
import type { ContinuationsOptions, ContinuationsRow, ContinuationsScored } from './types.ts';

/** Rows side by side beyond which a step only grows longer. */
const defaultBatchRows = 64;
/** Memory for keys and values, in bytes, where the caller names no number of rows. */
const cacheBytesLimit = 1024 ** 3;
/** Copies of a prompt that its continuations are spread over; the digits of a number need ten. */
const lanesEach = 10;
/** Fills a batch up; see `Runtime.fillBatch`. */
const filler: TokenPlace = { id: 0, index: 1, promptLength: 1 };

/** A row with its continuations as a tree. */
interface Prepared extends PrefillRow {
  readonly index: number;
  readonly tree: TokenTree;
  readonly logprobs: Float64Array;
}

/** A lane of a row in its slot of the cache. */
interface RunningLane {
  readonly row: Prepared;
  readonly lane: TokenLane;
}

/** Scores given continuations; see `LanguageModel.scoreContinuations`. */
export async function* scoreContinuations(
  runtime: Runtime,
  rows: readonly ContinuationsRow[],
  options: ContinuationsOptions = {},
): AsyncGenerator<ContinuationsScored> {
  const prepared = rows.map((row, index) => prepare(runtime, row, index));
  for (const batch of toBatches(runtime, prepared, options)) {
    stopIfAsked(options.signal);
    await new TreeBatch(runtime, batch, options.adapter).run(options.signal);
    for (const { index, logprobs } of batch) yield { index, logprobs };
  }
}

function prepare(runtime: Runtime, { ids, continuations }: ContinuationsRow, index: number): Prepared {
  const name = `row ${index + 1}`;
  for (const continuation of continuations) {
    if (continuation.length === 0) {
      throw new DataError(`${name}: expected continuations of at least one token, got an empty one`);
    }
    placeTokens(runtime, [...ids, ...continuation], ids.length, name);
  }
  return {
    index,
    prompt: placeTokens(runtime, ids, ids.length, name),
    plan: noInterventions,
    planKey: 0,
    probes: [],
    pooling: false,
    poolingPrompt: false,
    tree: planTree(continuations, lanesEach),
    logprobs: new Float64Array(continuations.length),
  };
}

/** As many rows as fit, no two with one prompt among them. */
function* toBatches(
  runtime: Runtime,
  rows: readonly Prepared[],
  { batchRows }: ContinuationsOptions,
): Generator<Prepared[]> {
  let waiting = [...rows];
  while (waiting.length > 0) {
    const batch: Prepared[] = [];
    const later: Prepared[] = [];
    const prompts = new Set<string>();
    for (const row of waiting) {
      const prompt = row.prompt.map((place) => place.id).join(',');
      const fits =
        batch.length === 0 || lanesIn([...batch, row]) <= slotsFor(runtime, [...batch, row], batchRows);
      if (fits && !prompts.has(prompt)) batch.push(row);
      else later.push(row);
      prompts.add(prompt);
    }
    yield batch;
    waiting = later;
  }
}

function lanesIn(rows: readonly Prepared[]): number {
  return rows.reduce((sum, { tree }) => sum + Math.max(1, tree.lanes.length), 0);
}

function slotsFor(runtime: Runtime, rows: readonly Prepared[], batchRows: number | undefined): number {
  if (batchRows !== undefined) return batchRows;
  const bytes = KvCache.slotBytes(runtime.config, capacityOf(rows));
  return Math.min(defaultBatchRows, Math.floor(cacheBytesLimit / bytes));
}

/** Tokens a slot: an odd prompt is padded while it runs. */
function capacityOf(rows: readonly Prepared[]): number {
  return Math.max(...rows.map(({ prompt, tree }) => prompt.length + (prompt.length % 2) + tree.depth));
}

/**
 * Rows whose prompts run together, and then their lanes, one token a step. A lane walks its branches one after the other in
 * one slot: the token that it feeds takes the place of what the branch before left there.
 */
class TreeBatch {
  private readonly runtime: Runtime;
  private readonly rows: readonly Prepared[];
  private readonly adapter: Adapter | undefined;
  /** Longest first, so that those that still run are always the first slots. */
  private readonly lanes: readonly RunningLane[];
  private readonly cache: KvCache;
  /** Where the prompts run, behind the lanes' slots. */
  private readonly promptSlot: number;

  constructor(runtime: Runtime, rows: readonly Prepared[], adapter: Adapter | undefined) {
    this.runtime = runtime;
    this.rows = rows;
    this.adapter = adapter;
    this.lanes = rows
      .flatMap((row) => row.tree.lanes.map((lane) => ({ row, lane })))
      .sort((a, b) => b.lane.length - a.lane.length);
    this.promptSlot = this.lanes.length + runtime.batchMultiple;
    const slots = this.promptSlot + rows.length + runtime.batchMultiple;
    this.cache = new KvCache(runtime.config, slots, capacityOf(rows), true);
  }

  async run(signal: AbortSignal | undefined): Promise<void> {
    await this.runPrompts(signal);
    const rounds = this.lanes[0]?.lane.length ?? 0;
    for (let round = 0; round < rounds; round++) {
      stopIfAsked(signal);
      await this.feed(round);
    }
  }

  private async runPrompts(signal: AbortSignal | undefined): Promise<void> {
    const options = { adapter: this.adapter, batchTokens: undefined };
    const steps = new Prefill(this.runtime, this.cache, options).run(this.rows, this.promptSlot);
    let step = await steps.next();
    while (step.done !== true) {
      stopIfAsked(signal);
      step = await steps.next();
    }
    const slots = new Map(this.rows.map((row, i) => [row, this.promptSlot + i]));
    for (const [i, { logits }] of step.value.entries()) {
      const row = this.rows[i] as Prepared;
      addLogprobs(row, row.tree.first, logits);
    }
    for (const [slot, { row }] of this.lanes.entries()) {
      this.cache.copy(slots.get(row) as number, slot, row.prompt.length);
    }
  }

  private async feed(round: number): Promise<void> {
    const running = this.lanes.filter(({ lane }) => round < lane.length);
    const tokens = running.map(({ row, lane }): TokenPlace => {
      const { token, depth } = lane[round]!;
      const promptLength = row.prompt.length;
      return { id: token, index: promptLength + depth, promptLength };
    });
    const fed = this.runtime.fillBatch(tokens, filler);
    const { logits } = await this.runtime.step({
      rows: fed.map((token) => ({ tokens: [token] })),
      positions: 1,
      cache: this.cache.view(0, fed.length),
      pool: { readings: 0, weights: new Float32Array(0) },
      queries: { count: 1, index: new BigInt64Array(fed.length) },
      tokens: noPositions,
      edits: new EditFeeds(
        this.runtime.config,
        fed.map(() => noInterventions),
      ),
      stages: noInterventions.stages,
      adapter: this.adapter,
    });
    const { vocabSize } = this.runtime.config;
    running.forEach(({ row, lane }, b) =>
      addLogprobs(row, lane[round]!.next, logits.subarray(b * vocabSize, (b + 1) * vocabSize)),
    );
  }
}

/** Adds what each continuation's next token weighs under `logits`. */
function addLogprobs(
  { logprobs }: Prepared,
  next: ReadonlyMap<number, readonly number[]>,
  logits: Float32Array,
): void {
  const normaliser = logPartition(logits);
  for (const [token, continuations] of next) {
    const logprob = (logits[token] as number) - normaliser;
    for (const index of continuations) logprobs[index] = (logprobs[index] as number) + logprob;
  }
}

function stopIfAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new AbortError('stopped before all rows were scored');
}
