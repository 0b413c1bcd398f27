import type { SentenceEnd } from '../engine/positions.ts';
import type { QuantisedOrPlainSource } from '../engine/quantised-weights.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { ModelConfig } from '../model/config.ts';
import type { ModelWeights } from '../model/weights.ts';
import type { FrozenWeights } from './frozen-weights.ts';
import type { Trainable } from './trainable.ts';

/** A checkpoint with what is trained of it. */
export interface TrainingModel {
  readonly checkpoint: Checkpoint;
  readonly config: ModelConfig;
  /** Of the untrained model. */
  readonly weights: ModelWeights<QuantisedOrPlainSource>;
  readonly trainable: Trainable;
  readonly frozen: FrozenWeights;
}

/** How the model's tokenizer tells sentence ends; null where it has none. */
export function endsSentence({ checkpoint: { tokenizer } }: TrainingModel): SentenceEnd {
  return tokenizer === null ? null : (id) => tokenizer.endsSentence(id);
}
