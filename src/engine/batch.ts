import { AbortError } from '../errors.ts';
import { roomForRows } from './cache-room.ts';
import { EditFeeds } from './edit-feeds.ts';
import { noInterventions } from './interventions.ts';
import { KvCache } from './kv-cache.ts';
import type { TokenPlace } from './positions.ts';
import { leastSharedPrefix, Prefill, type PrefillResult } from './prefill.ts';
import { ProbeFeeds } from './probe-feeds.ts';
import type { RunningRow } from './running-row.ts';
import type { Sampler } from './sampler.ts';
import { noPositions, type PositionIndex, type Runtime } from './runtime.ts';
import type { Generated, GenerateOptions } from './types.ts';

/** Rows side by side beyond which a step only grows longer. */
export const defaultBatchRows = 256;
/** Fills a batch up; see `Runtime.fillBatch`. */
const filler: TokenPlace = { id: 0, index: 1, promptLength: 1 };

/** What depends on who runs and not on their tokens. */
interface Standing {
  readonly views: ReturnType<KvCache['view']>;
  readonly edits: EditFeeds;
  readonly stages: number;
  readonly probes: ProbeFeeds;
}

/**
 * Continuous batching: rows hold the first slots of the cache; a row that ends gives its slot to the last
 * one, and waiting rows join behind them. What else runs never changes a row's bits.
 */
export class Batch {
  private readonly runtime: Runtime;
  private readonly options: GenerateOptions;
  private readonly capturing: boolean;
  private readonly waiting: RunningRow[];
  private readonly cache: KvCache;
  private readonly prefill: Prefill;
  private readonly sampler: Sampler;
  /** Logits `[slots, vocabulary]` of the last step. */
  private readonly logits: Float32Array;
  /** Most rows that run side by side. */
  private readonly slots: number;
  /** Index: slot. */
  private readonly running: RunningRow[] = [];
  private standing: Standing | null = null;

  constructor(runtime: Runtime, rows: readonly RunningRow[], options: GenerateOptions, sampler: Sampler) {
    this.runtime = runtime;
    this.sampler = sampler;
    this.options = options;
    this.capturing = (options.capture?.length ?? 0) > 0;
    this.waiting = inOrder(rows);
    const longest = Math.max(...rows.map((row) => row.prompt.length));
    const capacity = longest + (longest % 2) + options.maxTokens;
    const room = roomForRows(runtime.config, longest, options);
    this.slots = Math.min(options.batchRows ?? defaultBatchRows, room, rows.length);
    // The last slots stand ready for the rows that fill a batch up.
    const slotsInAll = this.slots + runtime.batchMultiple - 1;
    this.logits = new Float32Array(slotsInAll * runtime.config.vocabSize);
    this.cache = new KvCache(runtime.config, slotsInAll, capacity, true);
    this.prefill = new Prefill(runtime, this.cache, {
      adapter: options.adapter,
      capturing: this.capturing,
      capturingMean: options.capture?.includes('prompt_mean') ?? false,
      batchTokens: options.batchTokens,
    });
  }

  async *run(): AsyncGenerator<Generated> {
    while (this.running.length > 0 || this.waiting.length > 0) {
      this.stopIfAsked();
      if (this.shouldJoin()) await this.join();
      else await this.decode();
      yield* this.leave();
    }
  }

  private stopIfAsked(): void {
    if (this.options.signal?.aborted === true) throw new AbortError('stopped before all rows were finished');
  }

  /** A prefill of few rows costs nearly a whole step, so places are filled in groups. */
  private shouldJoin(): boolean {
    if (this.waiting.length === 0) return false;
    const free = this.slots - this.running.length;
    return this.running.length === 0 || free >= Math.min(this.waiting.length, Math.ceil(this.slots / 8));
  }

  /** Runs the prompts of waiting rows, each different one once, and draws their first tokens. */
  private async join(): Promise<void> {
    const first = this.running.length;
    const joining = this.waiting.splice(0, this.slots - first);
    const leaders = new Map<string, RunningRow>();
    for (const row of joining) if (!leaders.has(promptKey(row))) leaders.set(promptKey(row), row);
    const unique = [...leaders.values()];
    const places = new Map(unique.map((row, i) => [row, i]));
    const results = await this.runPrompts(unique, first);
    const followers = joining.filter((row) => !places.has(row));
    for (const [i, row] of [...unique, ...followers].entries()) {
      const leader = places.get(leaders.get(promptKey(row)) as RunningRow) as number;
      if (i !== leader) this.cache.copy(first + leader, first + i, row.prompt.length);
      const { logits, prompt, projections } = results[leader] as PrefillResult;
      row.project(projections);
      if (prompt !== null) row.pool.addPrompt(prompt.mean, prompt.last);
      this.logits.set(logits, i * this.runtime.config.vocabSize);
      this.running.push(row);
    }
    this.standing = null;
    await this.advance(this.running.slice(first));
  }

  private async runPrompts(rows: readonly RunningRow[], first: number): Promise<PrefillResult[]> {
    const steps = this.prefill.run(rows, first);
    for (;;) {
      const step = await steps.next();
      if (step.done === true) return step.value;
      this.stopIfAsked();
    }
  }

  /** Feeds every running row its last token and draws the next one. */
  private async decode(): Promise<void> {
    const rows = this.running;
    this.standing ??= this.stand();
    const tokens = rows.map((row) => row.last);
    const fed = this.runtime.fillBatch(tokens, filler);
    const only: PositionIndex = { count: 1, index: new BigInt64Array(fed.length) };
    const { probes } = this.standing;
    const { tokens: residuals, projections } = await this.runtime.step({
      rows: fed.map((token) => ({ tokens: [token] })),
      positions: 1,
      cache: this.standing.views,
      pool: { readings: 0, weights: new Float32Array(0) },
      queries: only,
      tokens: this.capturing ? only : noPositions,
      edits: this.standing.edits,
      stages: this.standing.stages,
      adapter: this.options.adapter,
      logits: this.logits,
      probes,
    });
    rows.forEach((row, b) => {
      row.project(probes.read(projections, b, 0, 1));
    });
    if (this.capturing) {
      const { layers, width } = this.runtime.config;
      const size = (layers + 1) * width;
      rows.forEach((row, b) => {
        row.pool.addToken(tokens[b] as TokenPlace, residuals.subarray(b * size, (b + 1) * size));
      });
    }
    await this.advance(rows);
  }

  /** Draws the next token of each row from the first logits, which are theirs. */
  private async advance(rows: readonly RunningRow[]): Promise<void> {
    const drawn = await this.sampler.draw(rows, this.logits, this.runtime.config.vocabSize);
    rows.forEach((row, i) => {
      row.advance(drawn[i] ?? null);
    });
  }

  private stand(): Standing {
    const plans = this.runtime.fillBatch(
      this.running.map((row) => row.plan),
      noInterventions,
    );
    return {
      views: this.cache.view(0, plans.length),
      edits: new EditFeeds(this.runtime.config, plans),
      stages: Math.max(...plans.map((plan) => plan.stages)),
      probes: ProbeFeeds.of(
        this.runtime.config,
        this.runtime.fillBatch(
          this.running.map((row) => row.probes),
          [],
        ),
      ),
    };
  }

  /** Hands out the rows that are done, waiting ones too if they were cancelled, and closes the gaps that they leave. */
  private *leave(): Generator<Generated> {
    for (let slot = this.running.length - 1; slot >= 0; slot--) {
      const row = this.running[slot] as RunningRow;
      if (!row.done) continue;
      const moved = this.running.pop() as RunningRow;
      if (moved !== row) {
        this.cache.copy(this.running.length, slot, moved.last.index);
        this.running[slot] = moved;
      }
      this.standing = null;
      yield row.result();
    }
    for (let i = this.waiting.length - 1; i >= 0; i--) {
      const row = this.waiting[i] as RunningRow;
      if (row.done) yield this.waiting.splice(i, 1)[0]!.result();
    }
  }
}

function promptKey(row: RunningRow): string {
  return `${row.planKey}:${row.prompt.map((place) => place.id).join(',')}`;
}

/**
 * Like lengths side by side, so that little of a prefill is padding, and prompts that begin alike next to each
 * other, so that they can share their beginning.
 */
function inOrder(rows: readonly RunningRow[]): RunningRow[] {
  const beginnings = new Map<string, { rows: RunningRow[]; longest: number }>();
  for (const row of rows) {
    const long = row.prompt.length > leastSharedPrefix;
    const ids = row.prompt.slice(0, leastSharedPrefix).map((place) => place.id);
    const key = long ? `${row.planKey}:${ids.join(',')}` : `short:${row.prompt.length}`;
    const found = beginnings.get(key) ?? { rows: [], longest: 0 };
    found.rows.push(row);
    found.longest = Math.max(found.longest, row.prompt.length);
    beginnings.set(key, found);
  }
  const byLength = (a: RunningRow, b: RunningRow): number =>
    b.prompt.length - a.prompt.length || a.index - b.index;
  return [...beginnings.values()]
    .sort(
      (a, b) => b.longest - a.longest || (a.rows[0] as RunningRow).index - (b.rows[0] as RunningRow).index,
    )
    .flatMap((group) => group.rows.sort(byLength));
}
