import { setTimeout as sleep } from 'node:timers/promises';

export interface GateLimits {
  /** Requests that may be under way at once. */
  readonly concurrency: number;
  /** Requests that may begin within a minute; they are spaced evenly. */
  readonly perMinute?: number | undefined;
}

/** The clock and the patience of a gate; tests bring their own. */
export interface GateTime {
  /** Milliseconds. */
  readonly now: () => number;
  /** Returns early, without an error, when the signal aborts. */
  readonly wait: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

const realTime: GateTime = {
  now: () => performance.now(),
  wait: async (milliseconds, signal) => {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  },
};

/** Where all requests to one server pass: so many at a time, so many a minute, and none while it wants to be left alone. */
export class RequestGate {
  readonly #spacing: number;
  readonly #time: GateTime;
  readonly #waiting: (() => void)[] = [];
  #free: number;
  /** When the next request may begin, in the clock's milliseconds. */
  #next = 0;

  constructor({ concurrency, perMinute }: GateLimits, time: GateTime = realTime) {
    this.#free = concurrency;
    this.#spacing = perMinute === undefined ? 0 : 60_000 / perMinute;
    this.#time = time;
  }

  /** Runs one request when its turn has come. An abort ends the wait, and `work` sees it in its signal. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter();
    try {
      await this.#pace(signal);
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** Lets nobody in for so many milliseconds from now: the server has asked for a pause. */
  hold(milliseconds: number): void {
    this.#next = Math.max(this.#next, this.#time.now() + milliseconds);
  }

  async #enter(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }

  async #pace(signal: AbortSignal | undefined): Promise<void> {
    // Asked again after every wait: the server may have asked for a longer pause meanwhile.
    for (;;) {
      if (signal?.aborted === true) return;
      const now = this.#time.now();
      if (now >= this.#next) {
        this.#next = now + this.#spacing;
        return;
      }
      await this.#time.wait(this.#next - now, signal);
    }
  }
}
