import { Worker } from 'node:worker_threads';
import { EngineError } from '../../errors.ts';
import type { Adapter } from '../../model/adapter.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { precisionOf } from '../load.ts';
import type { LanguageModel, LoadOptions } from '../model.ts';
import { RunGate } from '../run-gate.ts';
import type {
  ContinuationsOptions,
  ContinuationsRow,
  ContinuationsScored,
  ForwardOptions,
  ForwardResult,
  ForwardRow,
  Generated,
  GenerateOptions,
  GenerateRow,
  TokenEvent,
} from '../types.ts';
import { fromPlainError } from './plain-error.ts';
import type { CallResult, Request, Response, WorkerStart } from './protocol.ts';

/**
 * As `loadFromCheckpoint`, with the engine in a thread of its own: this thread stays free while a step runs. Calls take and
 * give the same, to the bit. The checkpoint has no adapter, and is read in the thread once more, because a tokenizer cannot
 * cross threads.
 * @throws as `loadModel`; EngineError where the thread dies.
 */
export async function loadInWorker(checkpoint: Checkpoint, options: LoadOptions): Promise<LanguageModel> {
  const { onNotice, worker: _, ...plain } = options;
  const model = checkpoint.file ?? checkpoint.folder;
  return WorkerModel.start(checkpoint, { model, options: plain }, onNotice);
}

/** A call as this thread sees it. */
interface Pending {
  readonly results: CallResult[];
  readonly onToken: ((event: TokenEvent) => void) | undefined;
  ended: boolean;
  error: Error | null;
  wake: () => void;
}

class WorkerModel implements LanguageModel {
  readonly checkpoint: Checkpoint;
  readonly precision: string;
  private readonly worker: Worker;
  private readonly pending = new Map<number, Pending>();
  private readonly exited: Promise<void>;
  /** Numbers of the adapters that the thread has been sent. */
  private readonly adapters = new Map<Adapter, number>();
  private nextCall = 1;
  private gone: Error | null = null;
  private closing = false;

  private constructor(checkpoint: Checkpoint, precision: string, worker: Worker) {
    this.checkpoint = checkpoint;
    this.precision = precision;
    this.worker = worker;
    this.exited = new Promise((resolve) => {
      worker.once('exit', () => {
        this.lose(new EngineError('expected a loaded model, got one that is closed; load it again'));
        resolve();
      });
    });
    worker.on('error', (error) => this.lose(new EngineError(`the engine's thread died: ${error.message}`)));
    worker.on('message', (response: Response) => this.take(response));
  }

  static async start(
    checkpoint: Checkpoint,
    start: Omit<WorkerStart, 'gate'>,
    onNotice: LoadOptions['onNotice'],
  ): Promise<WorkerModel> {
    const isSource = import.meta.url.endsWith('.ts');
    const url = new URL(isSource ? './worker-main.ts' : './worker-main.js', import.meta.url);
    // Plain JavaScript is better without the flags of the process, such as --input-type, with which no thread starts.
    const gate = new RunGate();
    const workerData: WorkerStart = { ...start, gate: gate.memory };
    const worker = new Worker(url, { workerData, ...(isSource ? {} : { execArgv: [] }) });
    holdProcess(gate, worker);
    const model = new WorkerModel(checkpoint, precisionOf(start.options), worker);
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (response: Response) => {
        if (response.kind === 'loaded') resolve();
        if (response.kind === 'notice') onNotice?.(response.message);
        if (response.kind === 'failed' && response.call === null) reject(fromPlainError(response.error));
      });
      worker.once('error', (error) =>
        reject(new EngineError(`the engine's thread did not start: ${error.message}`)),
      );
      worker.once('exit', () =>
        reject(new EngineError("the engine's thread ended before the model was loaded")),
      );
    });
    // An idle engine does not keep the process alive; a call does, while it waits for its results.
    worker.unref();
    return model;
  }

  async *forward(rows: readonly ForwardRow[], options: ForwardOptions = {}): AsyncGenerator<ForwardResult> {
    const { signal, adapter, ...rest } = options;
    const plain = { ...rest, adapter: this.numberOf(adapter) };
    const send = (call: number): Request => ({ kind: 'forward', call, rows: [...rows], options: plain });
    yield* this.run(send, { signal, rowSignals: [], onToken: undefined }) as AsyncGenerator<ForwardResult>;
  }

  async *generate(rows: readonly GenerateRow[], options: GenerateOptions): AsyncGenerator<Generated> {
    const { signal, onToken, adapter, ...rest } = options;
    const plain = { ...rest, adapter: this.numberOf(adapter) };
    const send = (call: number): Request => ({
      kind: 'generate',
      call,
      rows: rows.map(({ signal: _, ...row }) => row),
      options: { ...plain, streaming: onToken !== undefined },
    });
    const rowSignals = rows.map((row) => row.signal);
    yield* this.run(send, { signal, rowSignals, onToken }) as AsyncGenerator<Generated>;
  }

  async *scoreContinuations(
    rows: readonly ContinuationsRow[],
    options: ContinuationsOptions = {},
  ): AsyncGenerator<ContinuationsScored> {
    const { signal, adapter, ...rest } = options;
    const plain = { ...rest, adapter: this.numberOf(adapter) };
    const send = (call: number): Request => ({
      kind: 'continuations',
      call,
      rows: [...rows],
      options: plain,
    });
    yield* this.run(send, {
      signal,
      rowSignals: [],
      onToken: undefined,
    }) as AsyncGenerator<ContinuationsScored>;
  }

  async close(): Promise<void> {
    this.closing = true;
    if (this.gone === null) this.post({ kind: 'close' });
    this.worker.ref();
    await this.exited;
  }

  private async *run(
    request: (call: number) => Request,
    {
      signal,
      rowSignals,
      onToken,
    }: {
      signal: AbortSignal | undefined;
      rowSignals: readonly (AbortSignal | undefined)[];
      onToken: Pending['onToken'];
    },
  ): AsyncGenerator<CallResult> {
    if (this.gone !== null) throw this.gone;
    const call = this.nextCall++;
    const pending: Pending = { results: [], onToken, ended: false, error: null, wake: () => undefined };
    this.pending.set(call, pending);
    if (this.pending.size === 1) this.worker.ref();
    this.post(request(call));
    const listeners = [signal, ...rowSignals].map((one, i) => this.relay(one, call, i === 0 ? null : i - 1));
    try {
      for (;;) {
        const result = pending.results.shift();
        if (result !== undefined) {
          yield result;
          this.post({ kind: 'taken', call });
        } else if (pending.error !== null) throw pending.error;
        else if (pending.ended) return;
        else await new Promise<void>((resolve) => (pending.wake = resolve));
      }
    } finally {
      for (const unlisten of listeners) unlisten();
      // A caller that stops taking results wants no more of them.
      if (!pending.ended) this.post({ kind: 'abort', call, row: null });
      this.pending.delete(call);
      // Whoever waits for the thread's end needs the process to last until then.
      if (this.pending.size === 0 && !this.closing) this.worker.unref();
    }
  }

  /** The adapter's number in the thread, which is sent it the first time; null for none. */
  private numberOf(adapter: Adapter | undefined): number | null {
    if (adapter === undefined) return null;
    const known = this.adapters.get(adapter);
    if (known !== undefined) return known;
    const number = this.adapters.size;
    this.adapters.set(adapter, number);
    this.post({ kind: 'adapter', number, adapter });
    return number;
  }

  /** Passes a signal on; gives the function that ends this. */
  private relay(signal: AbortSignal | undefined, call: number, row: number | null): () => void {
    if (signal === undefined) return () => undefined;
    const abort = (): void => this.post({ kind: 'abort', call, row });
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    return () => signal.removeEventListener('abort', abort);
  }

  private take(response: Response): void {
    if (response.kind === 'tokens') {
      for (const { call, event } of response.tokens) this.pending.get(call)?.onToken?.(event);
      return;
    }
    if (response.kind === 'loaded' || response.kind === 'notice' || response.call === null) return;
    const pending = this.pending.get(response.call);
    if (pending === undefined) return;
    if (response.kind === 'result') pending.results.push(response.result);
    else pending.ended = true;
    if (response.kind === 'failed') pending.error = fromPlainError(response.error);
    pending.wake();
  }

  private lose(error: Error): void {
    this.gone ??= error;
    for (const pending of this.pending.values()) {
      if (pending.ended) continue;
      pending.ended = true;
      pending.error = this.gone;
      pending.wake();
    }
  }

  private post(request: Request): void {
    if (this.gone === null) this.worker.postMessage(request);
  }
}

/** How long the end of a process waits for a step, in milliseconds; one takes a second at most. */
const patience = 10_000;
const gates = new Set<RunGate>();

/** The process ends, however it comes to that, between two steps of the worker. */
function holdProcess(gate: RunGate, worker: Worker): void {
  if (gates.size === 0) process.on('exit', shutGates);
  gates.add(gate);
  worker.once('exit', () => {
    gates.delete(gate);
    if (gates.size === 0) process.off('exit', shutGates);
  });
}

function shutGates(): void {
  for (const gate of gates) gate.shut(patience);
}
