import { AbortError } from '../errors.ts';
import { HttpFailure } from './failure.ts';

/** Ends the work on one request: when its client goes, when its time is over, or by hand. */
export class Deadline {
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private readonly client: AbortSignal;
  private readonly seconds: number;
  private readonly timer: NodeJS.Timeout;
  private late = false;

  /** @param client aborted when the client goes */
  constructor(client: AbortSignal, seconds: number) {
    this.signal = this.controller.signal;
    this.client = client;
    this.seconds = seconds;
    this.timer = setTimeout(() => {
      this.late = true;
      this.abort();
    }, seconds * 1000);
    if (client.aborted) this.abort();
    client.addEventListener('abort', this.abort, { once: true });
  }

  readonly abort = (): void => this.controller.abort();

  /** The work is done: nothing ends it any more. */
  clear(): void {
    clearTimeout(this.timer);
    this.client.removeEventListener('abort', this.abort);
  }

  /** The error as a client is to be told it: an end by this deadline says why. */
  explain(error: unknown): unknown {
    if (!(error instanceof AbortError)) return error;
    if (this.late)
      return new HttpFailure(408, `expected an answer within ${this.seconds} seconds; ask for fewer tokens`, {
        code: 'timeout',
      });
    return this.signal.aborted ? new HttpFailure(499, 'the client went away') : error;
  }
}
