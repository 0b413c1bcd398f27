import { createContext, Script } from 'node:vm';

// The runtime interrupts whatever runs below this script, patterns and code of other contexts included.
const context = createContext({ __proto__: null });
/** The shortest limit that holds now. */
let running = Infinity;
const script = new Script('work()', { filename: 'time-limit' });

/**
 * Runs `work` on this thread and stops it, a running regular expression included, after `milliseconds` of wall time;
 * then what `late` returns is thrown. What `work` itself throws passes through. Costs about 0.1 ms a call, and a
 * multiple of it on a busy machine, since each call starts a thread that watches; so a call inside one whose limit is as
 * short costs nothing and is stopped with it.
 *
 * Work that is stopped may leave what it was changing half-changed: hand it nothing that lives on.
 */
export function withTimeLimit<T>(milliseconds: number, work: () => T, late: () => Error): T {
  if (running <= milliseconds) return work();
  const [outer, outerLimit]: [unknown, number] = [context['work'], running];
  context['work'] = work;
  running = milliseconds;
  try {
    return script.runInContext(context, { timeout: milliseconds }) as T;
  } catch (error) {
    throw isTimeout(error) ? late() : error;
  } finally {
    context['work'] = outer;
    running = outerLimit;
  }
}

/** No longer than the limits of what it is shared by, so that those cost nothing within it. */
const sharedMilliseconds = 3000;

/**
 * Runs many limited calls, such as the encoding of a hundred rows, at the cost of one. Where they take long together, `work` is
 * done once more from its beginning under the calls' own limits, so it must bear being done twice.
 */
export function withSharedTimeLimit<T>(work: () => T): T {
  const late = new Error('many calls take long together');
  try {
    return withTimeLimit(sharedMilliseconds, work, () => late);
  } catch (error) {
    if (error !== late) throw error;
    return work();
  }
}

/** The timeout's error comes from another context, so that `instanceof Error` does not hold for it. */
function isTimeout(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
  );
}
