import { Worker } from 'node:worker_threads';
import { fromPlainError } from '../engine/worker/plain-error.ts';
import type { PlainError } from '../engine/worker/protocol.ts';
import { StoreError } from '../errors.ts';

/** What a thread of the store is started with: it writes, or it reads. */
export interface ThreadStart {
  readonly file: string;
  readonly role: 'write' | 'read';
}

export type ThreadCall = {
  readonly call: number;
  readonly method: string;
  readonly args: readonly unknown[];
};
export type ThreadAnswer =
  | { readonly call: number; readonly result: unknown }
  | { readonly call: number; readonly error: PlainError };

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** Milliseconds before a thread that died is started again. */
const restartAfter = 1000;

const isSource = import.meta.url.endsWith('.ts');
const threadProgram = new URL(isSource ? './monitor-worker.ts' : './monitor-worker.js', import.meta.url);

type Methods<Api> = {
  [Name in keyof Api]: Api[Name] extends (...args: never[]) => unknown ? Name : never;
}[keyof Api];

/**
 * A store in a thread of its own, so that neither commits nor long queries hold up the replies. A thread that dies is
 * started again with the next call; what it was asked is rejected.
 */
export class StoreThread<Api> {
  private readonly start: ThreadStart;
  private readonly program: URL;
  private worker: Worker | null = null;
  private startedAt = -Infinity;
  private readonly waiting = new Map<number, Waiting>();
  private nextCall = 1;
  private closing = false;

  /** @param program where the thread's program is, if not beside this file */
  constructor(start: ThreadStart, program: URL = threadProgram) {
    this.start = start;
    this.program = program;
  }

  /** Calls that are not answered yet. */
  get pending(): number {
    return this.waiting.size;
  }

  /** Calls a method of the store; in the order of the calls. */
  call<Name extends Methods<Api>>(
    method: Name,
    ...args: Api[Name] extends (...args: infer Args) => unknown ? Args : never
  ): Promise<Api[Name] extends (...args: never[]) => infer Result ? Result : never> {
    return new Promise((resolve, reject) => {
      const call = this.nextCall++;
      try {
        const worker = this.running();
        this.waiting.set(call, { resolve, reject });
        worker.postMessage({ call, method: String(method), args } satisfies ThreadCall);
      } catch (error) {
        this.waiting.delete(call);
        reject(error instanceof Error ? error : new StoreError(String(error)));
      }
    });
  }

  async close(): Promise<void> {
    this.closing = true;
    const { worker } = this;
    if (worker === null) return;
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.postMessage({ call: 0, method: 'close', args: [] } satisfies ThreadCall);
    await exited;
  }

  private running(): Worker {
    if (this.worker !== null) return this.worker;
    if (this.closing || performance.now() - this.startedAt < restartAfter)
      throw new StoreError('The thread of the store has ended; the log says why.');
    this.startedAt = performance.now();
    // Source needs the flags that load it; plain JavaScript is better without those of the process.
    const flags = this.program.pathname.endsWith('.ts') ? {} : { execArgv: [] };
    const worker = new Worker(this.program, { workerData: this.start, ...flags });
    worker.on('message', (answer: ThreadAnswer) => this.take(answer));
    worker.on('error', (error) => this.lose(worker, error));
    worker.on('exit', () => this.lose(worker, new StoreError('The thread of the store has ended.')));
    this.worker = worker;
    return worker;
  }

  private take(answer: ThreadAnswer): void {
    const one = this.waiting.get(answer.call);
    this.waiting.delete(answer.call);
    if (one === undefined) return;
    if ('error' in answer) one.reject(fromPlainError(answer.error));
    else one.resolve(answer.result as never);
  }

  private lose(worker: Worker, error: Error): void {
    if (this.worker !== worker) return;
    this.worker = null;
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of lost) reject(error);
  }
}
