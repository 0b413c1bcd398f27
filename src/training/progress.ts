import type { TrainStep } from '../store/train-schema.ts';

/** What a training run tells while it runs; a command line draws it. */
export type TrainEvent =
  /** Lines of the training and test files that have been read. */
  | { readonly type: 'rows'; readonly rows: number }
  /** An earlier process took the first `step` steps. */
  | { readonly type: 'resume'; readonly step: number; readonly total: number }
  | { readonly type: 'step'; readonly step: TrainStep; readonly total: number }
  /** Something that the reader should know and that stops nothing. */
  | { readonly type: 'notice'; readonly message: string };

export type TrainListener = (event: TrainEvent) => void;
