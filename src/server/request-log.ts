import type { Context } from 'hono';
import { hiddenCause } from './failure.ts';
import type { Metrics } from './metrics.ts';

/** A line of the log; `text` only where prompts may be logged. */
export interface LogEntry {
  readonly event: 'request' | 'error';
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Milliseconds to the answer's end, a stream's too. */
  readonly ms: number;
  /** The name of the key, or null where none is needed or none was given. */
  readonly who: string | null;
  readonly text?: string;
  readonly error?: string;
}

/** What handlers leave with a request. */
export interface Notes {
  who: string | null;
  /** What went wrong, if anything did. */
  error: unknown;
  /** The body, where it may be logged. */
  text: string;
  /** Of a stream: fulfilled at its end. */
  ended: Promise<void>;
}
export type ServerContext = Context<{ Variables: Notes }>;

/** Writes a line and counts a request when its answer has ended. */
export function watchRequests(
  metrics: Metrics,
  log: (entry: LogEntry) => void,
): (c: ServerContext, next: () => Promise<void>) => Promise<void> {
  return async (c, next) => {
    const start = performance.now();
    await next();
    const { status } = c.res;
    const finish = (): void => record(c, { status, ms: performance.now() - start }, metrics, log);
    const ended: Promise<void> | undefined = c.get('ended');
    if (ended === undefined) finish();
    else void ended.then(finish);
  };
}

function record(
  c: ServerContext,
  { status, ms }: { readonly status: number; readonly ms: number },
  metrics: Metrics,
  log: (entry: LogEntry) => void,
): void {
  const { method, path } = c.req;
  const route = routeOf(path);
  metrics.requests.inc({ route, status });
  metrics.seconds.observe({ route }, ms / 1000);
  const cause = hiddenCause(c.get('error'));
  const text: string | undefined = c.get('text');
  log({
    event: cause === null ? 'request' : 'error',
    method: method.slice(0, 20),
    path: path.slice(0, 200),
    status,
    ms: Math.round(ms),
    who: c.get('who') ?? null,
    ...(cause !== null && { error: cause }),
    ...(text !== undefined && { text }),
  });
}

const routes: readonly RegExp[] = [
  /^\/(?:healthz|metrics|openapi\.json)$/,
  /^\/(?:app|assets)(?=\/|$)/,
  /^\/v1\/(?:chat\/completions|completions|activations)$/,
  /^\/v1\/models(?=\/|$)/,
  /^\/persona\/(?:capabilities$|(?:vectors|runs|screens)(?=\/|$))/,
  /^\/persona\/(?:alerts$|events$|monitor\/summary$|(?:conversations|policies)(?=\/|$))/,
];

/** Paths are whatever somebody makes up: a label for each of ours, and one for all others. */
function routeOf(path: string): string {
  for (const route of routes) {
    const found = route.exec(path)?.[0];
    if (found !== undefined) return found;
  }
  return 'other';
}
