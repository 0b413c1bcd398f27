import type { Adapter } from '../model/adapter.ts';
import { AbortError } from '../errors.ts';
import type { RunningRow } from './running-row.ts';
import type { Generated } from './types.ts';

/** Results that may wait untaken before no more of a call's rows begin: memory stays flat where the taker is slow. */
const resultsAhead = 64;

/** What a call asks of the batch that its rows run in. */
export interface CallShape {
  /** Most of its rows that run side by side. */
  readonly slots: number;
  /** Tokens that a slot of the cache has to hold for any of its rows. */
  readonly capacity: number;
  /** Bytes that the caller allows for keys and values, where it says. */
  readonly cacheBytes: number | undefined;
  /** Cap on padded prompt tokens that run at once, where it says. */
  readonly batchTokens: number | undefined;
  readonly adapter: Adapter | undefined;
  readonly signal: AbortSignal | undefined;
}

/** One call of `generate` on its way: the rows that wait for a place, and the results that wait to be taken. */
export class GenerateCall {
  readonly shape: CallShape;
  readonly waiting: RunningRow[];
  /** Rows that have a place. */
  running = 0;
  /** Wakes the batch, where it has nothing to do until a result is taken. */
  onTaken: () => void = () => undefined;
  private readonly results: Generated[] = [];
  private error: unknown = null;
  private left = false;
  private wake: () => void = () => undefined;

  constructor(rows: readonly RunningRow[], shape: CallShape) {
    this.waiting = [...rows];
    this.shape = shape;
  }

  /** Whether nobody wants what is left of it. */
  get stopped(): boolean {
    if (this.shape.signal?.aborted === true) {
      this.fail(new AbortError('stopped before all rows were finished'));
    }
    return this.left || this.error !== null;
  }

  get finished(): boolean {
    return this.waiting.length === 0 && this.running === 0;
  }

  /** Whether results wait in such a number that no further row should begin. */
  get paused(): boolean {
    return this.results.length >= resultsAhead;
  }

  give(result: Generated): void {
    this.results.push(result);
    this.wake();
  }

  /** Ends the call with an error, unless it has ended. */
  fail(error: unknown): void {
    this.error ??= error;
    this.wake();
  }

  /** Tells the taker that there is news, such as that all rows are done. */
  notify(): void {
    this.wake();
  }

  /** The results as they come; a taker that goes away ends the call. */
  async *take(): AsyncGenerator<Generated> {
    try {
      for (;;) {
        const result = this.results.shift();
        if (result !== undefined) {
          this.onTaken();
          yield result;
        } else if (this.error !== null) throw this.error;
        else if (this.finished) return;
        else await new Promise<void>((resolve) => (this.wake = resolve));
      }
    } finally {
      this.left = true;
      this.onTaken();
    }
  }
}
