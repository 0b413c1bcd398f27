import { setTimeout as sleep } from 'node:timers/promises';
import { UsageError } from '../../errors.ts';
import { Interrupted } from './network-failure.ts';

/** How often and how patiently a request is tried again. */
export interface Patience {
  /** Attempts in a row that may fail. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; each further pause is twice as long. */
  readonly firstPauseMs: number;
  /** Longest pause of its own, in milliseconds. */
  readonly longestPauseMs: number;
  /** Milliseconds without a byte after which a connection counts as dead. */
  readonly stallMs: number;
}

/** Some 15 s of pauses: a hiccup passes, a server that is down is told of soon. */
export const defaultPatience: Patience = {
  attempts: 5,
  firstPauseMs: 1000,
  longestPauseMs: 30_000,
  stallMs: 30_000,
};

/** A server that asks to wait longer than this, in milliseconds, is not waited for. */
const LONGEST_RETRY_AFTER_MS = 300_000;
/** Attempts in all for one piece of work, so that a server that gives a little each time cannot go on for ever. */
const MAX_ATTEMPTS = 1000;
/** A pause of so many milliseconds is told of: a person would wonder. */
const NOTICED_MS = 3000;

export interface RetryOptions {
  readonly patience: Patience;
  /** What is done, for the error: `downloading x from y`. */
  readonly task: string;
  readonly signal: AbortSignal | undefined;
  /** The error for work that its caller stopped. */
  readonly stopped: () => Error;
  /** Whether the attempt that just failed got further, which makes it the first in a row again. */
  readonly gotFurther?: () => boolean;
  /** A server that is not met at all is given up at once, with this advice. */
  readonly mustReach?: string | undefined;
  /** Told of every pause that a person would notice. */
  readonly onNote?: ((line: string) => void) | undefined;
}

/**
 * Does `work`, again and again with growing pauses while it throws `Interrupted`.
 *
 * @throws UsageError when patience is at its end; AbortError; what else `work` throws.
 */
export async function withRetries<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { patience, task, signal, stopped, gotFurther, mustReach } = options;
  let inRow = 0;
  for (let all = 1; ; all++) {
    if (isAborted(signal)) throw stopped();
    try {
      return await work();
    } catch (error) {
      if (isAborted(signal)) throw stopped();
      if (!(error instanceof Interrupted)) throw error;
      inRow = gotFurther?.() === true ? 1 : inRow + 1;
      if (mustReach !== undefined && !error.reached) throw unreachable(task, error, mustReach);
      if (inRow >= patience.attempts || all >= MAX_ATTEMPTS) throw givenUp(task, error, inRow);
      await pauseAfter(error, inRow, options);
    }
  }
}

/** A function of its own, because the compiler takes an answer for lasting. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Waits as long as the server asks, or longer with every failure. */
async function pauseAfter(failure: Interrupted, failures: number, options: RetryOptions): Promise<void> {
  const { patience, task, signal, onNote } = options;
  const own = Math.min(patience.firstPauseMs * 2 ** (failures - 1), patience.longestPauseMs);
  const asked = failure.retryAfterMs ?? 0;
  if (asked > LONGEST_RETRY_AFTER_MS) throw asksTooMuch(task, failure, asked);
  // Spread, so that many machines that met the same fault do not come back at the same moment.
  const wait = Math.max(asked, own * (0.75 + Math.random() / 2));
  if (wait >= NOTICED_MS)
    onNote?.(`${task}: ${failure.message}; next attempt in ${Math.round(wait / 1000)} s`);
  // An abort ends the pause; the next round sees it.
  await sleep(wait, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}

function unreachable(task: string, cause: Interrupted, advice: string): UsageError {
  return new UsageError(`Could not begin ${task}: ${cause.message}; ${advice}.`, { cause });
}

function givenUp(task: string, cause: Interrupted, times: number): UsageError {
  return new UsageError(
    `Gave up ${task} after ${times} failures in a row (the last: ${cause.message}); run the same command again to go on where it stopped.`,
    { details: { failures: times }, cause },
  );
}

function asksTooMuch(task: string, cause: Interrupted, askedMs: number): UsageError {
  const seconds = Math.ceil(askedMs / 1000);
  return new UsageError(
    `Gave up ${task}: ${cause.message}, and asks to wait ${seconds} s; run the same command again after that to go on.`,
    { details: { retryAfterSeconds: seconds }, cause },
  );
}
