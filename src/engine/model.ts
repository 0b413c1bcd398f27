import type { Checkpoint } from '../model/checkpoint.ts';
import type {
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
  /** Runs every row once; results come as batches finish, in no fixed order (see `index`). */
  forward(rows: readonly ForwardRow[], options?: ForwardOptions): AsyncIterable<ForwardResult>;
  /** Continues every row; results come as batches finish, in no fixed order (see `index`). */
  generate(rows: readonly GenerateRow[], options: GenerateOptions): AsyncIterable<Generated>;
  /** Releases the runtime's memory; the model cannot be used afterwards. */
  close(): Promise<void>;
}

export interface LoadOptions {
  /** Threads of the runtime; default: PERSONA_THREADS in the environment, else the machine's cores. */
  readonly threads?: number;
  /** Longest row that will be run, in tokens; default: the checkpoint's own limit, at most 32,768. */
  readonly context?: number;
  /** `generate` packs weights for single-token steps (twice the memory); `one-pass` does not. */
  readonly purpose?: 'generate' | 'one-pass';
}
