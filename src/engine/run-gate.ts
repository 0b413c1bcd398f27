/** Slots of the shared memory. */
const CLOSING = 0;
const INSIDE = 1;

/**
 * Keeps a process from ending while one of its threads is inside the runtime, which would abort it (code 134): the
 * thread says through shared memory when it is, and whoever ends the process waits until it no longer is.
 */
export class RunGate {
  /** For the other thread. */
  readonly memory: SharedArrayBuffer;
  private readonly slots: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.slots = new Int32Array(memory);
  }

  /** Does `work` while the process is held; never does it, nor returns, once the gate is shut. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    // In this order: the other side shuts the gate first and looks who is inside then.
    Atomics.add(this.slots, INSIDE, 1);
    try {
      if (Atomics.load(this.slots, CLOSING) === 0) return await work();
    } finally {
      Atomics.sub(this.slots, INSIDE, 1);
      Atomics.notify(this.slots, INSIDE);
    }
    return new Promise<never>(() => undefined);
  }

  /** Lets nobody in any more, and blocks until nobody is inside, for `patience` milliseconds at most. */
  shut(patience: number): void {
    Atomics.store(this.slots, CLOSING, 1);
    const end = performance.now() + patience;
    for (;;) {
      const inside = Atomics.load(this.slots, INSIDE);
      const left = end - performance.now();
      if (inside === 0 || left <= 0) return;
      Atomics.wait(this.slots, INSIDE, inside, left);
    }
  }
}
