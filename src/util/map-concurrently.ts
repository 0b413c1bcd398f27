import { setMaxListeners } from 'node:events';

export interface MapOptions {
  /** Most items in work at once. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
  /** The error for work that `signal` stopped. */
  readonly stopped: () => Error;
}

/**
 * Results of `work` on every item, in the order in which they are ready. Items are taken as there is room for them,
 * so that a source may still be making them. The first failure ends everything: the others are told by their signal, and
 * once they have ended it is thrown. A caller that leaves the loop ends the work in the same way.
 */
export async function* mapConcurrently<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T, index: number, signal: AbortSignal) => Promise<R>,
  { limit, signal, stopped }: MapOptions,
): AsyncGenerator<R> {
  const pool = new Pool(toAsyncIterator(items), work);
  const stop = (): void => pool.fail(stopped());
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for (let i = 0; i < limit; i++) pool.addRunner();
    yield* pool.results();
  } finally {
    signal?.removeEventListener('abort', stop);
    await pool.close();
  }
}

/** The runners of one call and what they share. */
class Pool<T, R> {
  readonly #source: AsyncIterator<T>;
  readonly #work: (item: T, index: number, signal: AbortSignal) => Promise<R>;
  readonly #controller = new AbortController();
  readonly #ready: R[] = [];
  readonly #underWay = new Set<Promise<void>>();
  /** Iterators need not bear two questions at once: each waits for the one before. */
  #turn: Promise<unknown> = Promise.resolve();
  #taken = 0;
  #runners = 0;
  #failure: { readonly error: unknown } | null = null;
  #wake: () => void = () => undefined;

  constructor(source: AsyncIterator<T>, work: (item: T, index: number, signal: AbortSignal) => Promise<R>) {
    this.#source = source;
    this.#work = work;
    // As many listen as work at once, which is no leak.
    setMaxListeners(0, this.#controller.signal);
  }

  addRunner(): void {
    this.#runners++;
    void this.#run().finally(() => {
      this.#runners--;
      this.#wake();
    });
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#controller.abort();
    this.#wake();
  }

  async *results(): AsyncGenerator<R> {
    for (;;) {
      if (this.#failure !== null) return;
      if (this.#ready.length > 0) yield this.#ready.shift()!;
      else if (this.#runners === 0) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Ends what is under way, and throws what went wrong. Runners that wait for an item are left to wait. */
  async close(): Promise<void> {
    this.#controller.abort();
    await Promise.all(this.#underWay);
    // Not waited for: a source that is being asked for an item answers this only afterwards.
    void this.#source.return?.().catch(() => undefined);
    if (this.#failure !== null) throw this.#failure.error;
  }

  async #run(): Promise<void> {
    const { signal } = this.#controller;
    while (!signal.aborted) {
      const next = await this.#next();
      if (next === null || signal.aborted) return;
      const task = this.#runOne(next.item, next.index);
      this.#underWay.add(task);
      await task;
      this.#underWay.delete(task);
    }
  }

  async #runOne(item: T, index: number): Promise<void> {
    try {
      this.#ready.push(await this.#work(item, index, this.#controller.signal));
      this.#wake();
    } catch (error) {
      this.fail(error);
    }
  }

  async #next(): Promise<{ readonly item: T; readonly index: number } | null> {
    const turn = this.#turn.then(() => this.#source.next());
    this.#turn = turn.catch(() => undefined);
    try {
      const { done, value } = await turn;
      return done === true ? null : { item: value, index: this.#taken++ };
    } catch (error) {
      this.fail(error);
      return null;
    }
  }
}

async function* toAsyncIterator<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items;
}
