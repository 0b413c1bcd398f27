import { AbortError, DataError, UsageError } from '../errors.ts';
import { type ThinkTokens, ThoughtTracker } from '../model/thinking.ts';
import { EditFeeds } from './edit-feeds.ts';
import { checkProbe, type InterventionPlan, noInterventions, planInterventions } from './interventions.ts';
import { KvCache } from './kv-cache.ts';
import { pools, type TokenPlace } from './positions.ts';
import { ProbeFeeds } from './probe-feeds.ts';

import { noPositions, paddedLength } from './runtime.ts';
import type { PositionIndex, RowContext, Runtime, StepResult } from './runtime.ts';
import { negativeLogLikelihood } from './sample.ts';
import type { ForwardOptions, ForwardResult, ForwardRow, Pooled, Pooling } from './types.ts';

/** Enough tokens for the products to run at full rate; more only takes memory. */
const defaultBatchTokens = 2048;
/** Logits of a batch, in bytes; a large vocabulary at every token would otherwise outgrow the model. */
const logitBytesLimit = 512 * 1024 * 1024;

/** A row of `forward`, checked. */
export interface PreparedRow {
  readonly index: number;
  readonly tokens: readonly TokenPlace[];
  readonly responseStart: number;
  readonly plan: InterventionPlan;
  /** Positions whose logits are computed. */
  readonly queries: readonly number[];
}

/** Fills a batch up; see `Runtime.fillBatch`. */
const filler: PreparedRow = {
  index: -1,
  tokens: [{ id: 0, index: 0, promptLength: 1 }],
  responseStart: 1,
  plan: noInterventions,
  queries: [],
};

/** Runs every row once, in batches of like length; see `LanguageModel.forward`. */
export async function* forwardRows(
  runtime: Runtime,
  rows: readonly ForwardRow[],
  options: ForwardOptions = {},
): AsyncGenerator<ForwardResult> {
  options.project?.forEach((probe, i) => checkProbe(probe, runtime.config, `probe ${i + 1}`));
  const prepared = rows.map((row, index) => prepareRow(runtime, row, index, options));
  for (const batch of toBatches(runtime, prepared, options)) {
    if (options.signal?.aborted === true) throw new AbortError('stopped before all rows were run');
    const longest = Math.max(...batch.map((row) => row.tokens.length));
    const queries = Math.max(...batch.map((row) => row.queries.length));
    const result = await runBatch(runtime, runtime.fillBatch(batch, filler), options);
    for (const [b, row] of batch.entries())
      yield toResult(runtime, row, { b, longest, queries, ...result }, options);
  }
}

/** Checks token ids against the vocabulary and the context, and gives each its place. */
export function placeTokens(
  runtime: Pick<RowContext, 'config' | 'context'>,
  ids: readonly number[],
  promptLength: number,
  name: string,
): TokenPlace[] {
  if (ids.length === 0) throw new DataError(`${name}: expected at least one token, got an empty prompt`);
  if (ids.length > runtime.context) {
    throw new DataError(
      `${name}: expected at most ${runtime.context} tokens (the model's context), got ${ids.length}; shorten the text`,
    );
  }
  const { vocabSize } = runtime.config;
  return ids.map((id, index) => {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new DataError(
        `${name}: expected token ids from 0 to ${vocabSize - 1}, got ${id} at position ${index}; the ids may come from another tokenizer`,
      );
    }
    return { id, index, promptLength };
  });
}

/** Checks a row against the model. @throws DataError or UsageError naming the row. */
export function prepareRow(
  runtime: RowContext,
  row: ForwardRow,
  index: number,
  options: ForwardOptions,
): PreparedRow {
  const name = `row ${index + 1}`;
  const length = row.ids.length;
  const responseStart = row.responseStart ?? length;
  const placed = placeTokens(runtime, row.ids, responseStart, name);
  const tokens = options.skipThoughts === true ? markThoughts(placed, runtime.thinkTokens) : placed;
  if (!Number.isInteger(responseStart) || responseStart < 0 || responseStart > length) {
    throw new DataError(`${name}: expected response_start from 0 to ${length}, got ${responseStart}`);
  }
  const plan = planInterventions(row.interventions ?? [], runtime.config, runtime.endsSentence !== null);
  if (plan.gates.length > 0) {
    throw new UsageError(
      `${name}: expected interventions without a condition, got one with "when"; a condition is decided token by token, while text is generated`,
    );
  }
  for (const pooling of options.pool ?? []) {
    if (pooling === 'boundary_mean' && runtime.endsSentence === null) {
      throw new UsageError(
        'pooling "boundary_mean" needs a tokenizer to find sentence ends, and the model has none',
      );
    }
    if (!tokens.some((place) => pools(pooling, place, runtime.endsSentence))) {
      throw new DataError(`${name}: expected tokens to pool by ${pooling}, got none; is its response empty?`);
    }
  }
  return { index, tokens, responseStart, plan, queries: queriesOf(length, responseStart, options) };
}

/** Marks the reply's tokens that belong to thoughts. */
export function markThoughts(
  places: readonly TokenPlace[],
  tokens: ThinkTokens | null,
): readonly TokenPlace[] {
  if (tokens === null) return places;
  const isPrompt = ({ index, promptLength }: TokenPlace): boolean => index < promptLength;
  const tracker = new ThoughtTracker(
    tokens,
    places.filter(isPrompt).map(({ id }) => id),
  );
  return places.map((place) => (isPrompt(place) ? place : { ...place, thought: tracker.push(place.id) }));
}

function queriesOf(length: number, responseStart: number, options: ForwardOptions): number[] {
  const wanted = new Set<number>();
  if (options.logits === 'all') for (let i = 0; i < length; i++) wanted.add(i);
  if (options.nll === true) for (let i = Math.max(0, responseStart - 1); i < length - 1; i++) wanted.add(i);
  if (options.logits === 'last') wanted.add(length - 1);
  return [...wanted].sort((a, b) => a - b);
}

/** Longest rows first, so that a batch that does not fit in memory fails at once and not after an hour. */
function* toBatches(
  runtime: Runtime,
  rows: readonly PreparedRow[],
  options: ForwardOptions,
): Generator<PreparedRow[]> {
  const limit = options.batchTokens ?? defaultBatchTokens;
  if (!Number.isInteger(limit) || limit < 1) {
    throw new UsageError(`expected a whole number of batch tokens above 0, got ${limit}`);
  }
  const logitLimit = Math.max(1, Math.floor(logitBytesLimit / (4 * runtime.config.vocabSize)));
  const sorted = [...rows].sort((a, b) => b.tokens.length - a.tokens.length || a.index - b.index);
  let batch: PreparedRow[] = [];
  let queries = 0;
  for (const row of sorted) {
    const longest = paddedLength([batch[0] ?? row]);
    const most = Math.max(queries, row.queries.length);
    const size = batch.length + 1;
    if (batch.length > 0 && (longest * size > limit || most * size > logitLimit)) {
      yield batch;
      batch = [];
      queries = 0;
    }
    batch.push(row);
    queries = Math.max(queries, row.queries.length);
  }
  if (batch.length > 0) yield batch;
}

async function runBatch(
  runtime: Runtime,
  batch: readonly PreparedRow[],
  options: ForwardOptions,
): Promise<StepResult & { readonly probes: ProbeFeeds }> {
  const positions = paddedLength(batch);
  const probes = ProbeFeeds.of(
    runtime.config,
    batch.map(() => options.project ?? []),
  );
  const plans = batch.map((row) => row.plan);
  // No token is fed after this step, so one buffer serves the keys and values of every block in turn.
  const cache = new KvCache(runtime.config, batch.length, positions, false);
  const result = await runtime.step({
    rows: batch,
    positions,
    cache: cache.view(0, batch.length),
    afterwards: 'nothing',
    pool: poolWeights(runtime, batch, positions, options),
    queries: positionIndex(batch.map((row) => row.queries)),
    tokens: options.tokens === true ? positionIndex(batch.map(allPositions)) : noPositions,
    edits: new EditFeeds(runtime.config, plans),
    stages: Math.max(...plans.map((plan) => plan.stages)),
    adapter: options.adapter,
    probes,
  });
  return { ...result, probes };
}

/** One reading a pooling. */
function poolWeights(
  runtime: Runtime,
  batch: readonly PreparedRow[],
  positions: number,
  options: ForwardOptions,
): { readings: number; weights: Float32Array } {
  const poolings = options.pool ?? [];
  const readings = poolings.length;
  const weights = new Float32Array(batch.length * readings * positions);
  batch.forEach((row, b) => {
    poolings.forEach((pooling, r) => {
      const taken = row.tokens.filter((place) => pools(pooling, place, runtime.endsSentence));
      for (const place of taken) weights[(b * readings + r) * positions + place.index] = 1 / taken.length;
    });
  });
  return { readings, weights };
}

/** Lists of unequal lengths side by side; what is read at the padding is not looked at. */
function positionIndex(lists: readonly (readonly number[])[]): PositionIndex {
  const count = Math.max(...lists.map((list) => list.length));
  const index = new BigInt64Array(lists.length * count);
  lists.forEach((list, b) => {
    list.forEach((position, i) => {
      index[b * count + i] = BigInt(position);
    });
  });
  return { count, index };
}

function allPositions(row: PreparedRow): number[] {
  return row.tokens.map((place) => place.index);
}

/** A batch's results and where in it a row stands. */
interface RowInBatch extends StepResult {
  readonly b: number;
  /** Tokens of the batch's longest row. */
  readonly longest: number;
  /** Logit rows a batch row. */
  readonly queries: number;
  readonly probes: ProbeFeeds;
}

function toResult(
  runtime: Runtime,
  row: PreparedRow,
  place: RowInBatch,
  options: ForwardOptions,
): ForwardResult {
  const { config } = runtime;
  const { b, longest } = place;
  const poolings = options.pool ?? [];
  const reading = (config.layers + 1) * config.width;
  const tokens = longest * reading;
  const pooled: Partial<Record<Pooling, Float32Array>> = {};
  poolings.forEach((pooling, r) => {
    const start = (b * poolings.length + r) * reading;
    pooled[pooling] = place.taps.slice(start, start + reading);
  });
  return {
    index: row.index,
    pooled: pooled satisfies Pooled,
    ...(options.tokens === true
      ? { tokens: place.tokens.slice(b * tokens, b * tokens + row.tokens.length * reading) }
      : {}),
    ...(options.project === undefined ? {} : { projections: projectionsOf(row, place) }),
    ...logitResults(runtime, row, place, options),
  };
}

/** `[tokens, probes]`. */
function projectionsOf(row: PreparedRow, { b, longest, probes, projections }: RowInBatch): Float32Array {
  const positions = longest + (longest % 2);
  const count = probes.countOf(b);
  const all = new Float32Array(row.tokens.length * count);
  row.tokens.forEach((_, i) => all.set(probes.read(projections, b, i, positions), i * count));
  return all;
}

function logitResults(
  runtime: Runtime,
  row: PreparedRow,
  place: RowInBatch,
  options: ForwardOptions,
): Pick<ForwardResult, 'logits' | 'nll'> {
  const { vocabSize } = runtime.config;
  const first = place.b * place.queries;
  const at = (position: number): Float32Array => {
    const start = (first + row.queries.indexOf(position)) * vocabSize;
    return place.logits.subarray(start, start + vocabSize);
  };
  const length = row.tokens.length;
  const found: { logits?: Float32Array; nll?: Float32Array } = {};
  if (options.logits === 'last') found.logits = at(length - 1).slice();
  if (options.logits === 'all') {
    found.logits = place.logits.slice(first * vocabSize, (first + length) * vocabSize);
  }
  if (options.nll === true) {
    const nll = new Float32Array(length);
    for (let i = Math.max(1, row.responseStart); i < length; i++) {
      nll[i] = negativeLogLikelihood(at(i - 1), (row.tokens[i] as TokenPlace).id);
    }
    found.nll = nll;
  }
  return found;
}
