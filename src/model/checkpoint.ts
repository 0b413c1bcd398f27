import { join } from 'node:path';
import { loadChatTemplate } from './chat-template.ts';
import type { ChatTemplate } from './chat-template.ts';
import { parseConfig } from './config.ts';
import type { ModelConfig } from './config.ts';
import { loadGenerationDefaults } from './generation-config.ts';
import type { GenerationDefaults } from './generation-config.ts';
import { findModelFolder } from './hub-cache.ts';
import { readJsonObject } from './json-text.ts';
import { locateWeights } from './locate-weights.ts';
import { pathKind } from './read-bytes.ts';
import { loadTokenizer } from './tokenizer.ts';
import type { TextTokenizer } from './tokenizer.ts';
import { findWeightFiles } from './weight-files.ts';
import type { ModelWeights, WeightSource } from './weights.ts';
import { ModelError } from '../errors.ts';

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
  /** Tensors of the files that the model has no use for, by name; reports list them. */
  readonly unusedTensors: readonly string[];
  /** Absolute paths of the safetensors files, links resolved, in the order of their names in the folder. */
  readonly weightFiles: readonly string[];
}

/** config.json of a published checkpoint has some kilobytes. */
const MAX_CONFIG_BYTES = 10_000_000;

/**
 * Opens a checkpoint: a folder in Hugging Face layout, or `owner/name[@revision]` in the local Hugging Face cache. Reads
 * config.json, the tokenizer, the chat template and the headers of the weights, and checks that they fit each other;
 * no weight is loaded.
 *
 * @throws UsageError when there is no such folder; ModelError when it holds no checkpoint that can be run; ParseError
 *   when one of its files is malformed.
 */
export async function loadCheckpoint(pathOrRepo: string): Promise<Checkpoint> {
  const found = await findModelFolder(pathOrRepo);
  const { folder } = found;
  const configFile = join(folder, 'config.json');
  if ((await pathKind(configFile)) !== 'file') throw noConfig(folder);
  const config = parseConfig(await readJsonObject(configFile, MAX_CONFIG_BYTES), configFile);
  const stored = await findWeightFiles(folder);
  const located = locateWeights(stored, config);
  const [tokenizer, chatTemplate, generation] = await Promise.all([
    loadTokenizer(folder, config.vocabSize),
    loadChatTemplate(folder),
    loadGenerationDefaults(folder, config),
  ]);
  return {
    ...found,
    config,
    generation,
    tokenizer,
    chatTemplate,
    ...located,
    weightFiles: stored.files,
  };
}

function noConfig(folder: string): ModelError {
  return new ModelError(
    `Expected config.json in "${folder}", got none; name a folder in Hugging Face layout, or download the model whole.`,
    { details: { folder } },
  );
}
