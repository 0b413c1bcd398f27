import type { Adapter } from '../../model/adapter.ts';
import type { LoadOptions } from '../model.ts';
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

/**
 * Options without what cannot cross threads; signals and callbacks are messages of their own. An adapter crosses once, and
 * calls say its number, so that theirs run side by side.
 */
type Plain<Options> = Omit<Options, 'signal' | 'onToken' | 'adapter'> & { readonly adapter: number | null };
export type PlainForwardOptions = Plain<ForwardOptions>;
export type PlainContinuationsOptions = Plain<ContinuationsOptions>;
export type PlainGenerateOptions = Plain<GenerateOptions> & { readonly streaming: boolean };
export type PlainGenerateRow = Omit<GenerateRow, 'signal'>;
export type PlainLoadOptions = Omit<LoadOptions, 'onNotice' | 'worker'>;

/** What the worker is started with. */
export interface WorkerStart {
  readonly model: string;
  readonly options: PlainLoadOptions;
  /** Memory of the `RunGate` that holds the process while a step runs. */
  readonly gate: SharedArrayBuffer;
}

/** A request that is answered by results. */
export type CallRequest = Extract<Request, { readonly rows: unknown }>;
export type CallResult = ForwardResult | Generated | ContinuationsScored;

/** To the worker. `call` numbers the calls of one model. */
export type Request =
  | {
      readonly kind: 'forward';
      readonly call: number;
      readonly rows: readonly ForwardRow[];
      readonly options: PlainForwardOptions;
    }
  | {
      readonly kind: 'generate';
      readonly call: number;
      readonly rows: readonly PlainGenerateRow[];
      readonly options: PlainGenerateOptions;
    }
  | {
      readonly kind: 'continuations';
      readonly call: number;
      readonly rows: readonly ContinuationsRow[];
      readonly options: PlainContinuationsOptions;
    }
  /** Of the calls that come after it; kept until the thread ends. */
  | { readonly kind: 'adapter'; readonly number: number; readonly adapter: Adapter }
  /** Stops a call after the step that runs, or, with a row, that row alone. */
  | { readonly kind: 'abort'; readonly call: number; readonly row: number | null }
  /** A result has been taken: another may be sent. */
  | { readonly kind: 'taken'; readonly call: number }
  | { readonly kind: 'close' };

/** A token on its way to the listener of a call. */
export interface CallToken {
  readonly call: number;
  readonly event: TokenEvent;
}

/** From the worker. */
export type Response =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'notice'; readonly message: string }
  | { readonly kind: 'result'; readonly call: number; readonly result: CallResult }
  /** Those of one step, of whatever calls: a message costs far more than what is in it. */
  | { readonly kind: 'tokens'; readonly tokens: readonly CallToken[] }
  | { readonly kind: 'done'; readonly call: number }
  /** `call` is null where loading failed. */
  | { readonly kind: 'failed'; readonly call: number | null; readonly error: PlainError };

/** An error as data: `name` is the class's. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;
  readonly stack: string | undefined;
}

/** Results that may wait, untaken, on their way: enough to keep the engine busy, few enough to keep memory flat. */
export const resultsAhead = 64;
