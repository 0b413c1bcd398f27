import { HttpFailure } from './failure.ts';
import type { Limits } from './settings.ts';

/** Counts what is under way and who asks how often, and refuses what is too much. */
export class Admission {
  /** Replies under way. */
  replies = 0;
  /** Whether the server is about to end. */
  draining = false;
  private readonly limits: Limits;
  private readonly now: () => number;
  /** By key or address: requests that may come now, and when that was so. */
  private readonly buckets = new Map<string, { left: number; at: number }>();
  private readonly waiters: (() => void)[] = [];

  constructor(limits: Limits, now: () => number = () => performance.now()) {
    this.limits = limits;
    this.now = now;
  }

  /** @throws HttpFailure 429, with the seconds after which the next request may come. */
  checkRate(who: string): void {
    const perMinute = this.limits.requestsPerMinute;
    if (perMinute === null) return;
    const now = this.now();
    if (this.buckets.size > 10_000) this.buckets.clear();
    const before = this.buckets.get(who) ?? { left: perMinute, at: now };
    const left = Math.min(perMinute, before.left + ((now - before.at) / 60_000) * perMinute);
    this.buckets.set(who, { left: Math.max(0, left - 1), at: now });
    if (left >= 1) return;
    throw new HttpFailure(429, `expected at most ${perMinute} requests a minute; wait and try again`, {
      code: 'rate_limit_exceeded',
      retryAfter: Math.ceil(((1 - left) * 60) / perMinute),
    });
  }

  /**
   * Takes places for so many replies; what it gives frees them, once.
   * @throws HttpFailure 503 where there are none.
   */
  enter(count: number): () => void {
    if (this.draining) throw new HttpFailure(503, 'the server is ending', { retryAfter: 5 });
    if (count > this.limits.replies)
      throw new HttpFailure(
        400,
        `expected at most ${this.limits.replies} replies to one request, got ${count}`,
      );
    if (this.replies + count > this.limits.replies)
      throw new HttpFailure(503, `${this.replies} replies are under way, which is as many as there may be`, {
        code: 'overloaded',
        retryAfter: 1,
      });
    this.replies += count;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.replies -= count;
      if (this.replies === 0) for (const wake of this.waiters.splice(0)) wake();
    };
  }

  /** Lets no more in, and waits for those that are under way. */
  async drain(): Promise<void> {
    this.draining = true;
    if (this.replies > 0) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }
}
