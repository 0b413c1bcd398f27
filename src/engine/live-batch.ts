import { EngineError } from '../errors.ts';
import { availableMemory } from '../util/memory.ts';
import { cacheShare, defaultBatchRows, rowBytes } from './cache-room.ts';
import { EditFeeds } from './edit-feeds.ts';
import type { GenerateCall } from './generate-call.ts';
import { noInterventions } from './interventions.ts';
import type { KvCache } from './kv-cache.ts';
import type { TokenPlace } from './positions.ts';
import { Prefill, type PrefillResult } from './prefill.ts';
import { ProbeFeeds } from './probe-feeds.ts';
import { inOrder } from './row-order.ts';
import type { RunningRow } from './running-row.ts';
import { Sampler } from './sampler.ts';
import { noPositions, type PositionIndex, type Runtime } from './runtime.ts';
import { Slots } from './slots.ts';

/** Steps that a call of which nothing runs yet is let wait for others to join with. */
const patience = 4;

/** Fills a batch up; see `Runtime.fillBatch`. */
const filler: TokenPlace = { id: 0, index: 1, promptLength: 1 };

/** A row in its place. */
interface Seat {
  readonly row: RunningRow;
  readonly call: GenerateCall;
  /** Whether its result has been given: its place is freed when no prompt is on its way into the places behind it. */
  given: boolean;
}

/** What depends on who runs and not on their tokens. */
interface Standing {
  readonly views: ReturnType<KvCache['view']>;
  readonly edits: EditFeeds;
  readonly stages: number;
  readonly probes: ProbeFeeds;
}

/**
 * Continuous batching: rows of any number of calls hold the first places of one cache; a row that ends gives its place to
 * the last one, and waiting rows, whenever they come, join behind them. What else runs never changes a row's bits. Between
 * calls it holds no memory.
 */
export class LiveBatch {
  private readonly runtime: Runtime;
  private readonly adapter: GenerateCall['shape']['adapter'];
  /** Those that are not at their end, in the order in which they came. */
  private calls: GenerateCall[] = [];
  /** Index: place. */
  private readonly running: Seat[] = [];
  private slots: Slots | null = null;
  private sampler: Sampler | null = null;
  private standing: Standing | null = null;
  /** Bytes for keys, values and logits, fixed when the batch begins. */
  private budget = 0;
  private driving = false;
  /** Steps that a call of which nothing runs has been let wait for others. */
  private waited = 0;
  private wake: () => void = () => undefined;

  constructor(runtime: Runtime, adapter: GenerateCall['shape']['adapter']) {
    this.runtime = runtime;
    this.adapter = adapter;
  }

  /** Bytes that its places take now. */
  get heldBytes(): number {
    if (this.slots === null) return 0;
    return this.slots.count * rowBytes(this.runtime.config, this.slots.cache.capacity);
  }

  get idle(): boolean {
    return !this.driving;
  }

  /** Takes a call's rows in; its results come through the call. */
  submit(call: GenerateCall): void {
    call.onTaken = () => this.wake();
    this.calls.push(call);
    this.wake();
    if (!this.driving) void this.drive();
  }

  /** Steps until no call is left. */
  private async drive(): Promise<void> {
    this.driving = true;
    this.budget = availableMemory() * cacheShare;
    try {
      this.sampler = new Sampler(await this.runtime.logitReader());
      for (;;) {
        await this.leave();
        const joining = this.toJoin();
        if (this.isWorthwhile(joining)) await this.join(joining);
        else if (this.running.length > 0) await this.decode();
        else if (this.calls.length === 0) return;
        // Whoever has results to take wakes it, or comes with another call.
        else await new Promise<void>((resolve) => (this.wake = resolve));
      }
    } catch (error) {
      for (const call of this.calls.splice(0)) call.fail(error);
      this.running.length = 0;
    } finally {
      this.dropCache();
      this.slots = null;
      this.sampler = null;
      this.standing = null;
      this.driving = false;
    }
  }

  /**
   * The rows that can join now. Places go to the call that has the fewest, so that a small one does not wait for a large
   * one's end; a row that needs more room than there is beside those that run waits, and nobody overtakes it.
   */
  private toJoin(): Seat[] {
    const joining: Seat[] = [];
    const counts = new Map(this.calls.map((call) => [call, 0]));
    let capacity = this.running.length === 0 ? 0 : (this.slots?.cache.capacity ?? 0);
    const placesOf = (call: GenerateCall): number => call.running + counts.get(call)!;
    for (;;) {
      const open = this.calls.filter(
        (call) =>
          !call.paused && counts.get(call)! < call.waiting.length && placesOf(call) < call.shape.slots,
      );
      const next = leastBy(open, placesOf);
      if (next === null) break;
      const taken = this.running.length + joining.length;
      const needed = Math.max(capacity, next.shape.capacity);
      if (taken > 0 && taken >= this.limit(needed)) break;
      capacity = needed;
      joining.push({ row: next.waiting[counts.get(next)!]!, call: next, given: false });
      counts.set(next, counts.get(next)! + 1);
    }
    return joining;
  }

  /**
   * A prefill of one row costs nearly a whole step of all rows, so places are filled in groups, of whatever calls: when those
   * that could be filled are an eighth of those that are. A call of which nothing runs yet waits a few steps at most.
   */
  private isWorthwhile(joining: readonly Seat[]): boolean {
    if (joining.length === 0) return false;
    const running = this.running.length;
    const held = running === 0 ? 0 : this.slots!.cache.capacity;
    const capacity = Math.max(held, ...joining.map(({ call }) => call.shape.capacity));
    const places = this.calls.reduce(
      (sum, call) => sum + (call.paused || call.waiting.length === 0 ? call.running : call.shape.slots),
      0,
    );
    if (8 * (Math.min(places, this.limit(capacity)) - running) >= running || this.waited >= patience) {
      this.waited = 0;
      return true;
    }
    this.waited = joining.some(({ call }) => call.running === 0) ? this.waited + 1 : 0;
    return false;
  }

  /** Most rows that run side by side in slots of so many tokens. */
  private limit(capacity: number): number {
    const most = Math.max(defaultBatchRows, ...this.calls.map(({ shape }) => shape.slots));
    const given = Math.max(this.budget, ...this.calls.map(({ shape }) => shape.cacheBytes ?? 0));
    return Math.min(most, Math.max(1, Math.floor(given / rowBytes(this.runtime.config, capacity))));
  }

  /** Runs the prompts of rows that join, each different one once, and draws their first tokens. */
  private async join(joining: readonly Seat[]): Promise<void> {
    await this.fetchCache();
    const slots = this.makeRoom(joining);
    const first = this.running.length;
    const leaders = new Map<string, Seat>();
    for (const seat of joining) {
      seat.call.waiting.shift();
      seat.call.running++;
      if (!leaders.has(seat.row.promptKey)) leaders.set(seat.row.promptKey, seat);
    }
    const unique = inOrder([...leaders.values()], ({ row }) => row);
    const places = new Map(unique.map((seat, i) => [seat, i]));
    const results = await this.runPrompts(unique, joining, first);
    if (results === null) {
      for (const { call } of joining) call.running--;
      return;
    }
    const followers = joining.filter((seat) => !places.has(seat));
    for (const [i, seat] of [...unique, ...followers].entries()) {
      const { row } = seat;
      const leader = places.get(leaders.get(row.promptKey)!)!;
      if (i !== leader) slots.cache.copy(first + leader, first + i, row.prompt.length);
      const { logits, prompt, projections, read } = results[leader]!;
      row.project(projections);
      row.takeRead(read);
      if (row.pooling && prompt !== null) row.pool.addPrompt(prompt.mean, prompt.last);
      slots.logits.set(logits, i * this.runtime.config.vocabSize);
      this.running.push(seat);
    }
    await this.fetchCache();
    this.standing = null;
    await this.advance(this.running.slice(first), slots);
  }

  /** Places for those that run and those that join. */
  private makeRoom(joining: readonly Seat[]): Slots {
    const capacity = Math.max(...joining.map(({ call }) => call.shape.capacity));
    const count = this.running.length + joining.length;
    const { slots } = this;
    const { config, batchMultiple } = this.runtime;
    if (slots === null || this.running.length === 0) {
      const fits = slots !== null && slots.count >= count && slots.cache.capacity === capacity;
      if (!fits) this.slots = new Slots(config, count, capacity, batchMultiple - 1);
      return this.slots!;
    }
    const longest = Math.max(capacity, slots.cache.capacity);
    if (slots.count >= count && slots.cache.capacity >= capacity) return slots;
    const generous = Math.min(2 * slots.count, this.limit(longest));
    const places = Math.max(count, slots.count >= count ? slots.count : generous);
    slots.grow(
      Math.min(places, Math.max(count, this.limit(longest))),
      longest,
      this.running.map(({ row }) => row.last.index),
    );
    this.standing = null;
    return slots;
  }

  /** Between two steps of long prompts those that run go on. Null where all that wait for these prompts have been stopped. */
  private async runPrompts(
    unique: readonly Seat[],
    joining: readonly Seat[],
    first: number,
  ): Promise<PrefillResult[] | null> {
    const limits = joining.flatMap(({ call }) => call.shape.batchTokens ?? []);
    const prefill = new Prefill(this.runtime, this.slots!.cache, {
      adapter: this.adapter,
      batchTokens: limits.length === 0 ? undefined : Math.min(...limits),
    });
    const steps = prefill.run(
      unique.map(({ row }) => row),
      first,
    );
    for (let count = 0; ; count++) {
      const step = await steps.next();
      if (step.done === true) return step.value;
      if (joining.every(({ call }) => call.stopped)) return null;
      if (count === 0 || this.running.length === 0) continue;
      await this.decode();
      this.giveResults();
    }
  }

  /** Feeds every running row its last token and draws the next one. */
  private async decode(): Promise<void> {
    const slots = this.slots!;
    this.standing ??= this.stand(slots);
    const { views, edits, stages, probes } = this.standing;
    const tokens = this.running.map(({ row }) => row.last);
    const alive = this.running.map(({ row }) => !row.done);
    const pooling = this.running.some(({ row }) => row.pooling);
    const fed = this.runtime.fillBatch(tokens, filler);
    const only: PositionIndex = { count: 1, index: new BigInt64Array(fed.length) };
    const { tokens: residuals, projections } = await this.runtime.step({
      rows: fed.map((token) => ({ tokens: [token] })),
      positions: 1,
      cache: views,
      afterwards: 'device',
      pool: { readings: 0, weights: new Float32Array(0) },
      queries: only,
      tokens: pooling ? only : noPositions,
      edits,
      stages,
      adapter: this.adapter,
      logits: slots.logits,
      probes,
    });
    const { layers, width } = this.runtime.config;
    const size = (layers + 1) * width;
    this.running.forEach(({ row }, b) => {
      if (alive[b] !== true) return;
      row.project(probes.read(projections, b, 0, 1));
      if (row.pooling) row.pool.addToken(tokens[b]!, residuals.subarray(b * size, (b + 1) * size));
    });
    await this.advance(this.running, slots);
  }

  /** Draws the next token of each row from the first logits, which are theirs. */
  private async advance(seats: readonly Seat[], { logits }: Slots): Promise<void> {
    const rows = seats.map(({ row }) => row);
    const drawn = await this.sampler!.draw(rows, logits, this.runtime.config.vocabSize);
    seats.forEach(({ row, call }, i) => {
      const token = drawn[i] ?? null;
      try {
        if (token instanceof EngineError) call.fail(row.notFinite(token));
        else row.advance(token);
      } catch (error) {
        // What listens to a row is its caller's.
        call.fail(error);
      }
    });
  }

  /** Brings what decoding has left on a device into the slots, before they are moved or others are run. */
  private async fetchCache(): Promise<void> {
    if (this.standing !== null) await this.runtime.fetchCache(this.standing.views);
  }

  private dropCache(): void {
    if (this.standing !== null) this.runtime.dropCache(this.standing.views);
  }

  private stand({ cache }: Slots): Standing {
    const { config } = this.runtime;
    const plans = this.runtime.fillBatch(
      this.running.map(({ row }) => row.plan),
      noInterventions,
    );
    const probes = this.runtime.fillBatch(
      this.running.map(({ row }) => row.probes),
      [],
    );
    return {
      views: cache.view(0, plans.length),
      edits: new EditFeeds(config, plans),
      stages: Math.max(...plans.map((plan) => plan.stages)),
      probes: ProbeFeeds.of(config, probes),
    };
  }

  /** Hands out the rows that are done, waiting ones too if they were cancelled. */
  private giveResults(): void {
    for (const seat of this.running) if (!seat.given && seat.row.done) this.give(seat);
    for (const call of this.calls) {
      const cancelled = call.waiting.filter((row) => row.done);
      if (cancelled.length === 0) continue;
      call.waiting.splice(0, call.waiting.length, ...call.waiting.filter((row) => !row.done));
      for (const row of cancelled) giveRow(call, row);
    }
  }

  private give(seat: Seat): void {
    seat.given = true;
    giveRow(seat.call, seat.row);
  }

  /** Hands out what is done, frees its places and closes the gaps, and lets calls go that are at their end. */
  private async leave(): Promise<void> {
    this.giveResults();
    const staying = this.running.filter((seat) => !seat.given && !seat.call.stopped).length;
    if (staying === 0) this.dropCache();
    else if (staying < this.running.length) await this.fetchCache();
    for (let place = this.running.length - 1; place >= 0; place--) {
      const seat = this.running[place]!;
      if (!seat.given && !seat.call.stopped) continue;
      const moved = this.running.pop()!;
      if (moved !== seat) {
        this.slots!.cache.copy(this.running.length, place, moved.row.last.index);
        this.running[place] = moved;
      }
      seat.call.running--;
      this.standing = null;
    }
    for (const call of this.calls) if (call.stopped) call.waiting.length = 0;
    const ended = this.calls.filter((call) => call.finished);
    if (ended.length === 0) return;
    this.calls = this.calls.filter((call) => !call.finished);
    for (const call of ended) call.notify();
  }
}

function giveRow(call: GenerateCall, row: RunningRow): void {
  if (call.stopped) return;
  try {
    call.give(row.result());
  } catch (error) {
    call.fail(error);
  }
}

function leastBy<T>(items: readonly T[], measure: (item: T) => number): T | null {
  let best: T | null = null;
  for (const item of items) if (best === null || measure(item) < measure(best)) best = item;
  return best;
}
