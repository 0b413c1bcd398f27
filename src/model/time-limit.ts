import { createContext, Script } from 'node:vm';

// The runtime interrupts whatever runs below this script, patterns and code of other contexts included.
const context = createContext({ __proto__: null });
/** The shortest limit that holds now. */
let running = Infinity;
/** How often work is begun that the machine gave too little time. */
const MOST_ATTEMPTS = 5;
const script = new Script('work()', { filename: 'time-limit' });

/**
 * Runs `work` on this thread and stops it, a running regular expression included, after `milliseconds` of wall time;
 * then what `late` returns is thrown. What `work` itself throws passes through. Costs about 0.1 ms a call, and a
 * multiple of it on a busy machine, since each call starts a thread that watches; so a call inside one whose limit is as
 * short costs nothing and is stopped with it.
 *
 * On a machine that gave this process too little of that time, or paused it, the work is begun again, a few times: it is not to
 * blame. So it must bear being done twice; and since what is stopped may be half-changed, hand it nothing that lives on.
 */
export function withTimeLimit<T>(milliseconds: number, work: () => T, late: () => Error): T {
  if (running <= milliseconds) return work();
  for (let attempt = 1; ; attempt++) {
    const start = process.cpuUsage();
    const outcome = attemptWithin(milliseconds, work);
    if (outcome !== null) return outcome.value;
    const { user, system } = process.cpuUsage(start);
    const wasStarved = (user + system) / 1000 < milliseconds / 2;
    if (!wasStarved || attempt === MOST_ATTEMPTS) throw late();
  }
}

/** What the work gives; null where it took too long. */
function attemptWithin<T>(milliseconds: number, work: () => T): { readonly value: T } | null {
  const [outer, outerLimit]: [unknown, number] = [context['work'], running];
  context['work'] = work;
  running = milliseconds;
  try {
    return { value: script.runInContext(context, { timeout: milliseconds }) as T };
  } catch (error) {
    if (isTimeout(error)) return null;
    throw error;
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
