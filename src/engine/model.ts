import type { Checkpoint } from '../model/checkpoint.ts';
import type { Capability } from './capabilities.ts';
import type { Device } from './device-name.ts';
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
} from './types.ts';

/** A loaded model. It never changes: taps, interventions and adapters are arguments of a call. */
export interface LanguageModel {
  readonly checkpoint: Checkpoint;
  /** What the matrix products run in: `fp32`, or the recipe of its weights, such as `int8-block32`; then the device, where that is not the processor. */
  readonly precision: string;
  /** The adapter that every call has which names none; see `adaptedModel`. */
  readonly adapter?: {
    readonly name: string;
    /** As `Adapter.sha256`. */
    readonly sha256: string;
    /** The model without it, on the same session. */
    readonly base: LanguageModel;
  };
  /** What its engine can do; absent where it can do everything, as those of this process can. */
  readonly capabilities?: ReadonlySet<Capability>;
  /** Runs every row once; results come as batches finish, in no fixed order (see `index`). */
  forward(rows: readonly ForwardRow[], options?: ForwardOptions): AsyncIterable<ForwardResult>;
  /** Continues every row; results come as batches finish, in no fixed order (see `index`). */
  generate(rows: readonly GenerateRow[], options: GenerateOptions): AsyncIterable<Generated>;
  /**
   * Log-probabilities of given continuations of each prompt. A prompt is run once, and so is whatever its continuations
   * begin with in common; results come as batches finish, in no fixed order (see `index`).
   */
  scoreContinuations(
    rows: readonly ContinuationsRow[],
    options?: ContinuationsOptions,
  ): AsyncIterable<ContinuationsScored>;
  /** Releases the runtime's memory; the model cannot be used afterwards. */
  close(): Promise<void>;
}

/** How the matrix products' weights are held: as 32-bit floats, or in 8- or 4-bit blocks with a scale each. */
export const dtypes = ['fp32', 'int8', 'int4'] as const;
export type Dtype = (typeof dtypes)[number];

export interface LoadOptions {
  /** Default `fp32`. The others are quantised once into the package's cache; see `prepareWeights`. */
  readonly dtype?: Dtype;
  /** Weights of a row that share a scale, for `int8` and `int4`; default 32. */
  readonly blockSize?: 32 | 128;
  /** What computes: PERSONA_DEVICE in the environment, else the processor (`cpu`); see docs/devices.md. */
  readonly device?: Device;
  /** Run in a thread of its own, so that this one stays free while a step runs; the same otherwise. */
  readonly worker?: boolean;
  /** Takes lines that a user should see, such as why weights are quantised anew. */
  readonly onNotice?: (message: string) => void;
  /** Threads of the runtime; default: PERSONA_THREADS in the environment, else the cores, fewer for a tiny model. */
  readonly threads?: number;
  /** Longest row that will be run, in tokens; default: the checkpoint's own limit, at most 32,768. */
  readonly context?: number;
  /**
   * `generate`, the default, packs the weights for single-token steps: a slower load and twice the memory. `one-pass`
   * does not, and is as fast on long rows, but a row's bits may then depend on the rows beside it (to about 1e-6). Weights in
   * blocks are packed in any case: unpacked, their products are slower at every length.
   */
  readonly purpose?: 'generate' | 'one-pass';
}

/** How a model is loaded by its name. */
export interface LoadModelOptions extends LoadOptions {
  /** A LoRA adapter that every call is run with; see `adaptCheckpoint`. */
  readonly adapter?: string;
}
