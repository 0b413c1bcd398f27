import type { Adapter } from '../model/adapter.ts';
import { EditFeeds } from './edit-feeds.ts';
import { type InterventionPlan, noInterventions } from './interventions.ts';
import type { KvCache } from './kv-cache.ts';
import { joined } from '../util/joined.ts';
import type { TokenPlace } from './positions.ts';
import { ProbeFeeds } from './probe-feeds.ts';
import { noPositions, paddedLength, type Runtime, type StepResult } from './runtime.ts';
import type { Probe } from './types.ts';

/** A prompt to run. */
export interface PrefillRow {
  readonly prompt: readonly TokenPlace[];
  /** Tokens behind the prompt that are run with it for their projections; what they leave in the cache is written over. */
  readonly read?: readonly TokenPlace[];
  readonly plan: InterventionPlan;
  /** Equal for rows whose prompts run under equal interventions, so that they can share what is computed. */
  readonly planKey: number;
  /** What the prompt's last token is projected on. */
  readonly probes: readonly Probe[];
  /** Whether residuals of the prompt are wanted. */
  readonly pooling: boolean;
  /** Whether the mean over the prompt is among them, whose sum must not depend on what is shared. */
  readonly poolingPrompt: boolean;
}

/** What a prompt leaves behind, besides its keys and values in the cache. */
export interface PrefillResult {
  /** Logits `[vocabulary]` of the prompt's last token. */
  readonly logits: Float32Array;
  /** Residuals `[L+1, width]`: the prompt's mean and its last token; null where nobody asks. */
  readonly prompt: { readonly mean: Float32Array; readonly last: Float32Array } | null;
  /** Projections of the last token, `[probes]`. */
  readonly projections: Float32Array;
  /** Projections of the tokens behind the prompt, `[tokens, probes]`. */
  readonly read: Float32Array;
}

export interface PrefillOptions {
  readonly adapter: Adapter | undefined;
  readonly batchTokens: number | undefined;
}

/** Fills a batch up; see `Runtime.fillBatch`. */
const filler: TokenPlace = { id: 0, index: 0, promptLength: 1 };
/** Tokens of one step beyond which the products gain nothing and a stop is noticed late. */
const defaultStepTokens = 2048;
/** Tokens that take about as long as a step takes in any case: more padding than this is dearer than another step. */
const mostPadding = 24;
/** Longest piece of a prompt in one step. */
const pieceTokens = 1024;
/** A shared beginning shorter than this is cheaper run with every prompt, in common batches. */
export const leastSharedPrefix = 256;

/**
 * Runs prompts into the cache. Short ones run side by side; long ones run in pieces; prompts with a long beginning in
 * common run that once and then, one by one, what follows it. None of this changes a bit of a row: keys and values do
 * not depend on how a prompt is cut, as long as no piece is a single row.
 */
export class Prefill {
  private readonly runtime: Runtime;
  private readonly cache: KvCache;
  private readonly options: PrefillOptions;

  constructor(runtime: Runtime, cache: KvCache, options: PrefillOptions) {
    this.runtime = runtime;
    this.cache = cache;
    this.options = options;
  }

  /**
   * Runs `rows`, no two with the same prompt under the same interventions, into the slots from `first` on; yields
   * before each step, so that the caller can stop or do something else between two.
   * @returns the results in the order of `rows`.
   */
  async *run(rows: readonly PrefillRow[], first: number): AsyncGenerator<void, PrefillResult[]> {
    const results: PrefillResult[] = [];
    while (results.length < rows.length) {
      const slot = first + results.length;
      const rest = rows.slice(results.length);
      const sharers = this.sharers(rest);
      if (sharers.length > 1) {
        results.push(...(yield* this.runShared(sharers, slot)));
      } else if (fedTokens(rest[0] as PrefillRow).length > pieceTokens) {
        results.push(yield* this.runPieces(rest[0] as PrefillRow, slot, 0));
      } else {
        yield;
        results.push(...(await this.runTogether(this.fitting(rest), slot)));
      }
    }
    return results;
  }

  /** The first rows as far as they have a long beginning in common, longer than what follows it. */
  private sharers(rows: readonly PrefillRow[]): PrefillRow[] {
    const head = rows[0] as PrefillRow;
    if (head.poolingPrompt || reads(head)) return [head];
    let shared = head.prompt.length;
    let count = 1;
    for (const row of rows.slice(1)) {
      const common = Math.min(shared, commonPrefix(head, row));
      const longest = Math.max(...rows.slice(0, count + 1).map((other) => other.prompt.length));
      if (common < leastSharedPrefix || longest > 2 * common || row.poolingPrompt || reads(row)) break;
      shared = common;
      count++;
    }
    return rows.slice(0, count);
  }

  /** The first rows as far as they fit into one step and are of like length. */
  private fitting(rows: readonly PrefillRow[]): PrefillRow[] {
    const limit = this.options.batchTokens ?? defaultStepTokens;
    let count = 1;
    let longest = fedTokens(rows[0] as PrefillRow).length;
    let tokens = longest;
    for (const row of rows.slice(1)) {
      const { length } = fedTokens(row);
      longest = Math.max(longest, length);
      tokens += length;
      const padded = (longest + (longest % 2)) * (count + 1);
      if (length > pieceTokens || padded > limit || longest * (count + 1) - tokens > mostPadding) break;
      count++;
    }
    return rows.slice(0, count);
  }

  /** First prompts of any lengths in one step. */
  private async runTogether(rows: readonly PrefillRow[], first: number): Promise<PrefillResult[]> {
    const stepRows = this.runtime.fillBatch(
      rows.map((row) => ({ tokens: fedTokens(row), prompt: row.prompt, plan: row.plan, probes: row.probes })),
      { tokens: [filler], prompt: [filler], plan: noInterventions, probes: [] },
    );
    const probes = ProbeFeeds.of(
      this.runtime.config,
      stepRows.map((row) => row.probes),
    );
    const positions = paddedLength(stepRows);
    const result = await this.runtime.step({
      rows: stepRows,
      positions,
      cache: this.cache.view(first, stepRows.length),
      pool: poolWeights(
        stepRows.map((row) => row.prompt),
        positions,
        rows.some((row) => row.pooling),
      ),
      queries: { count: 1, index: BigInt64Array.from(stepRows, (row) => BigInt(row.prompt.length - 1)) },
      tokens: noPositions,
      edits: new EditFeeds(
        this.runtime.config,
        stepRows.map((row) => row.plan),
      ),
      stages: Math.max(...stepRows.map((row) => row.plan.stages)),
      adapter: this.options.adapter,
      probes,
    });
    return rows.map(({ prompt, read = [] }, b) => {
      const at = (i: number): Float32Array => probes.read(result.projections, b, i, positions);
      const projections = at(prompt.length - 1);
      return { ...this.read(result, b, 1), projections, read: joined(read.map(({ index }) => at(index))) };
    });
  }

  /** The beginning with the first row, copied to the others, and then the rest of each. */
  private async *runShared(
    rows: readonly PrefillRow[],
    first: number,
  ): AsyncGenerator<void, PrefillResult[]> {
    const head = rows[0] as PrefillRow;
    const shared = Math.min(...rows.map((row) => commonPrefix(head, row)));
    const results = [yield* this.runPieces(head, first, 0)];
    for (const [i, row] of rows.entries()) {
      if (i === 0) continue;
      // What follows has to be even in length, and a row that ends where the beginning does needs its last tokens run.
      const most = Math.min(shared, row.prompt.length - 1);
      const from = most - ((row.prompt.length - most) % 2);
      this.cache.copy(first, first + i, from);
      results.push(yield* this.runPieces(row, first + i, from));
    }
    return results;
  }

  /** One prompt from token `from` on, in pieces; only one that begins the prompt, and can be padded, may be odd. */
  private async *runPieces(row: PrefillRow, slot: number, from: number): AsyncGenerator<void, PrefillResult> {
    const tokens = fedTokens(row);
    const decided = row.prompt.length - 1;
    const probes = ProbeFeeds.of(this.runtime.config, [row.probes]);
    const means: Float32Array[] = [];
    const read: Float32Array[] = [];
    let found: Pick<PrefillResult, 'logits' | 'prompt' | 'projections'> | null = null;
    for (let at = from; at < tokens.length; ) {
      const odd = at === 0 ? tokens.length % 2 : 0;
      const left = tokens.length - at;
      const size = left <= pieceTokens ? left : pieceTokens - odd;
      const piece = tokens.slice(at, at + size);
      const last = Math.min(decided - at, size - 1);
      yield;
      const result = await this.runPiece(row, slot, piece, Math.max(0, last), probes);
      const { logits, prompt } = this.read(result, 0, this.runtime.batchMultiple);
      const projected = (i: number): Float32Array =>
        probes.read(result.projections, 0, i, positionsOf(piece));
      if (prompt !== null && last >= 0) means.push(prompt.mean);
      if (last >= 0 && last === decided - at) found = { logits, prompt, projections: projected(last) };
      for (const { index } of piece) if (index > decided) read.push(projected(index - at));
      at += size;
    }
    const { prompt, ...rest } = found!;
    return {
      ...rest,
      prompt: prompt === null ? null : { mean: sum(means), last: prompt.last },
      read: joined(read),
    };
  }

  private runPiece(
    row: PrefillRow,
    slot: number,
    piece: readonly TokenPlace[],
    last: number,
    probes: ProbeFeeds,
  ): Promise<StepResult> {
    const positions = positionsOf(piece);
    // The head takes token rows in pairs too, where the other products do.
    const count = this.runtime.batchMultiple;
    return this.runtime.step({
      rows: [{ tokens: piece }],
      positions,
      cache: this.cache.view(slot, 1),
      pool: poolWeights([piece.slice(0, last + 1)], positions, row.pooling),
      queries: { count, index: new BigInt64Array(count).fill(BigInt(last)) },
      tokens: noPositions,
      edits: new EditFeeds(this.runtime.config, [row.plan]),
      stages: row.plan.stages,
      adapter: this.options.adapter,
      probes,
    });
  }

  /** Results of batch row `b`, whose logits stand in row `b * queries`. */
  private read(result: StepResult, b: number, queries: number): Pick<PrefillResult, 'logits' | 'prompt'> {
    const { vocabSize, layers, width } = this.runtime.config;
    const at = b * queries * vocabSize;
    const size = (layers + 1) * width;
    const reading = (i: number): Float32Array => result.taps.slice(i * size, (i + 1) * size);
    return {
      logits: result.logits.slice(at, at + vocabSize),
      prompt: result.taps.length > 0 ? { mean: reading(2 * b), last: reading(2 * b + 1) } : null,
    };
  }
}

/** Two readings a row: its share of the prompt's mean, and its last token. */
function poolWeights(
  rows: readonly (readonly TokenPlace[])[],
  positions: number,
  wanted: boolean,
): { readings: number; weights: Float32Array } {
  if (!wanted) return { readings: 0, weights: new Float32Array(0) };
  const weights = new Float32Array(rows.length * 2 * positions);
  rows.forEach((tokens, b) => {
    const start = 2 * b * positions;
    weights.fill(1 / (tokens[0] as TokenPlace).promptLength, start, start + tokens.length);
    weights[start + positions + tokens.length - 1] = 1;
  });
  return { readings: 2, weights };
}

/** What is run for a row: its prompt, and what is read behind it. */
function fedTokens({ prompt, read = [] }: PrefillRow): readonly TokenPlace[] {
  return read.length === 0 ? prompt : [...prompt, ...read];
}

function reads({ read = [] }: PrefillRow): boolean {
  return read.length > 0;
}

/** Length of a piece's position axis: only one that begins a prompt can be padded. */
function positionsOf(piece: readonly TokenPlace[]): number {
  const begins = (piece[0] as TokenPlace).index === 0;
  return begins ? paddedLength([{ tokens: piece }]) : piece.length;
}

/** Length of the beginning that two prompts have in common, 0 where their interventions differ. */
function commonPrefix(a: PrefillRow, b: PrefillRow): number {
  if (a.planKey !== b.planKey) return 0;
  const length = Math.min(a.prompt.length, b.prompt.length);
  for (let i = 0; i < length; i++) {
    if ((a.prompt[i] as TokenPlace).id !== (b.prompt[i] as TokenPlace).id) return i;
  }
  return length;
}

function sum(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0] as Float32Array;
  const total = new Float64Array((parts[0] as Float32Array).length);
  for (const part of parts) part.forEach((value, i) => (total[i] = (total[i] as number) + value));
  return Float32Array.from(total);
}
