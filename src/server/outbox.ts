import { setTimeout as sleep } from 'node:timers/promises';
import type { Delivery, Letter } from '../store/monitor/outbox.ts';
import type { StoreThread } from './monitor-thread.ts';
import type { StoreWriter } from './monitor-worker.ts';

/** What became of an attempt; `over` where another would not help. */
export type Outcome =
  | { readonly sent: true }
  | { readonly sent: false; readonly error: string; readonly over: boolean };

/** One way to send letters. */
export interface Courier {
  readonly kind: string;
  /** Letters that are handed over at once. */
  readonly atOnce: number;
  /** Never throws; one outcome a letter. */
  readonly deliver: (letters: readonly Letter[]) => Promise<Outcome[]>;
}

/** How long is waited between attempts, in milliseconds. */
export interface RetryTimes {
  readonly first: number;
  readonly longest: number;
  /** Attempts after which a letter is given up. */
  readonly attempts: number;
}

/** Twice as long after every attempt, and an hour at most: about six hours in all. */
export const defaultRetries: RetryTimes = { first: 2000, longest: 3_600_000, attempts: 16 };
/** Milliseconds after which an attempt of which nothing was noted is made again. */
const leastLease = 30_000;
/** Milliseconds between two looks where nothing is due. */
const longestNap = 60_000;

/** Sends what the store says is to be sent, each courier by itself, until it is closed. */
export class Outbox {
  private readonly writer: StoreThread<StoreWriter>;
  private readonly retries: RetryTimes;
  private readonly onTrouble: (message: string) => void;
  private readonly naps = new Map<string, AbortController>();
  private readonly runs: Promise<void>[];
  private closed = false;

  constructor(
    writer: StoreThread<StoreWriter>,
    couriers: readonly Courier[],
    {
      retries = defaultRetries,
      onTrouble,
    }: { retries?: RetryTimes | undefined; onTrouble: (message: string) => void },
  ) {
    this.writer = writer;
    this.retries = retries;
    this.onTrouble = onTrouble;
    this.runs = couriers.map((courier) => this.run(courier));
  }

  /** There is something new to be sent. */
  wake(): void {
    for (const nap of this.naps.values()) nap.abort();
  }

  /** Ends when attempts under way have ended, and what became of them is noted. */
  async close(): Promise<void> {
    this.closed = true;
    this.wake();
    await Promise.all(this.runs);
  }

  private async run(courier: Courier): Promise<void> {
    while (!this.closed) {
      // Made before looking, so that what comes while we look is not slept through.
      const nap = new AbortController();
      this.naps.set(courier.kind, nap);
      const wait = await this.round(courier);
      if (wait > 0) await sleep(wait, undefined, { signal: nap.signal, ref: false }).catch(() => undefined);
    }
  }

  /** Sends what is due; gives the milliseconds until more may be. */
  private async round(courier: Courier): Promise<number> {
    try {
      const now = Date.now();
      const retryAt = now + Math.max(leastLease, this.retries.first);
      const letters = await this.writer.call('takeLetters', courier.kind, {
        now,
        limit: courier.atOnce,
        retryAt,
      });
      if (letters.length === 0) {
        const due = await this.writer.call('nextDue', courier.kind);
        return due === null ? longestNap : Math.min(longestNap, Math.max(1, due - Date.now()));
      }
      const outcomes = await courier.deliver(letters);
      await this.writer.call(
        'noteDeliveries',
        letters.map((letter, i) => this.note(letter, outcomes[i]!)),
      );
      return 0;
    } catch (error) {
      if (!this.closed)
        this.onTrouble(`the outbox: ${error instanceof Error ? error.message : String(error)}`);
      return longestNap;
    }
  }

  private note({ oid, id, attempt }: Letter, outcome: Outcome): Delivery {
    if (outcome.sent) return { oid, state: 'sent' };
    const error = outcome.error.slice(0, 500);
    if (outcome.over || attempt >= this.retries.attempts) {
      this.onTrouble(`gave up sending ${id} after ${attempt} attempts: ${error}`);
      return { oid, state: 'failed', error };
    }
    const wait = Math.min(this.retries.longest, this.retries.first * 2 ** (attempt - 1));
    // Spread, so that what failed together does not come again together.
    return { oid, state: 'waiting', due: Date.now() + Math.round(wait * (0.75 + Math.random() / 2)), error };
  }
}
