import type { ModelConfig } from './config.ts';
import type { ChatTemplate } from './chat-template.ts';
import type { GenerationDefaults } from './generation-config.ts';
import type { TextTokenizer } from './tokenizer.ts';
import type { ModelWeights, WeightSource } from './weights.ts';

/** A model folder, read and checked, with no weight loaded yet. */
export interface Checkpoint {
  /** Absolute path of the folder. */
  readonly folder: string;
  /** How reports name the model: the folder's last part, or `owner/name` from the Hub cache. */
  readonly id: string;
  /** Commit of the Hub snapshot, where the folder is one. */
  readonly revision: string | null;
  readonly config: ModelConfig;
  readonly generation: GenerationDefaults;
  /** Null where the folder has no tokenizer.json (ids can still be run). */
  readonly tokenizer: TextTokenizer | null;
  /** Null for a base model without a chat template. */
  readonly chatTemplate: ChatTemplate | null;
  readonly weights: ModelWeights<WeightSource>;
}
