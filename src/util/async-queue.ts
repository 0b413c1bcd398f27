/** Values that one side hands in as they come and the other, a single reader, takes out when it can. */
export class AsyncQueue<T> implements AsyncIterable<T> {
  private readonly waiting: T[] = [];
  private ended = false;
  private wake: (() => void) | null = null;

  /** Hands values in; after `end` they are dropped. */
  push(values: readonly T[]): void {
    if (!this.ended) this.waiting.push(...values);
    this.wake?.();
  }

  /** The reader's loop ends when it has taken what is there. */
  end(): void {
    this.ended = true;
    this.wake?.();
  }

  /** The reader's loop ends now. */
  cut(): void {
    this.waiting.length = 0;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.waiting.length > 0) yield this.waiting.shift()!;
      if (this.ended) return;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = null;
    }
  }
}
