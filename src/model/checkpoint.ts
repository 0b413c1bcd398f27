import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadChatTemplate, templateOf } from './chat-template.ts';
import type { ChatTemplate } from './chat-template.ts';
import { parseConfig } from './config.ts';
import type { ModelConfig } from './config.ts';
import { generationDefaults, loadGenerationDefaults } from './generation-config.ts';
import type { GenerationDefaults } from './generation-config.ts';
import { readGgufModel } from './gguf-checkpoint.ts';
import { findModelFolder } from './hub-cache.ts';
import type { ModelFolder } from './hub-cache.ts';
import { jsonFields } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { readJsonObject } from './json-text.ts';
import { locateWeights } from './locate-weights.ts';
import { pathKind } from './read-bytes.ts';
import { buildTokenizer, loadTokenizer } from './tokenizer.ts';
import type { TextTokenizer } from './tokenizer.ts';
import { findWeightFiles } from './weight-files.ts';
import type { ModelWeights, WeightSource } from './weights.ts';
import { ModelError } from '../errors.ts';

/** A model, read and checked, with no weight loaded yet. */
export interface Checkpoint {
  /** Absolute path of the folder, or of the one that the GGUF file lies in. */
  readonly folder: string;
  /** Absolute path of the GGUF file that is the model; null for a folder in Hugging Face layout. */
  readonly file: string | null;
  /** How reports name the model: the folder's or file's name, or `owner/name` from the Hub cache. */
  readonly id: string;
  /** Commit of the Hub snapshot, where the folder is one. */
  readonly revision: string | null;
  readonly config: ModelConfig;
  readonly generation: GenerationDefaults;
  /** Null where the model has none (ids can still be run). */
  readonly tokenizer: TextTokenizer | null;
  /** Null for a base model without a chat template. */
  readonly chatTemplate: ChatTemplate | null;
  readonly weights: ModelWeights<WeightSource>;
  /** Tensors of the files that the model has no use for, by name; reports list them. */
  readonly unusedTensors: readonly string[];
  /** Absolute paths of the safetensors or GGUF files, links resolved, in the order of their names. */
  readonly weightFiles: readonly string[];
}

/** config.json of a published checkpoint has some kilobytes. */
const MAX_CONFIG_BYTES = 10_000_000;

/**
 * Opens a checkpoint: a folder in Hugging Face layout, a GGUF file, or `owner/name[@revision]` in the local Hugging Face
 * cache. Reads config.json, the tokenizer, the chat template and the headers of the weights, and checks that they fit each other;
 * no weight is loaded.
 *
 * @throws UsageError when there is no such folder; ModelError when it holds no checkpoint that can be run; ParseError
 *   when one of its files is malformed.
 */
export async function loadCheckpoint(pathOrRepo: string): Promise<Checkpoint> {
  const found = await findModelFolder(pathOrRepo);
  return found.file === null ? loadFolder(found) : loadGguf(found, found.file);
}

async function loadFolder(found: ModelFolder): Promise<Checkpoint> {
  const { folder } = found;
  const configFile = join(folder, 'config.json');
  if ((await pathKind(configFile)) !== 'file') throw noConfig(folder, await ggufFileIn(folder));
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

async function loadGguf(found: ModelFolder, file: string): Promise<Checkpoint> {
  const { documents, stored } = await readGgufModel(file);
  const fields = (name: string): JsonFields => jsonFields(documents.get(name) ?? {}, file);
  const config = parseConfig(documents.get('config.json')!, file);
  const { weights, unusedTensors } = locateWeights(stored, config);
  const settings = fields('tokenizer_config.json');
  return {
    ...found,
    config,
    generation: generationDefaults(fields('generation_config.json'), config),
    tokenizer: documents.has('tokenizer.json')
      ? buildTokenizer(fields('tokenizer.json'), settings, config.vocabSize)
      : null,
    chatTemplate: templateOf(settings, null),
    weights,
    unusedTensors: unusedTensors.filter((name) => name !== 'rope_freqs.weight'),
    weightFiles: stored.files,
  };
}

async function ggufFileIn(folder: string): Promise<string | null> {
  const name = (await readdir(folder)).toSorted().find((entry) => entry.endsWith('.gguf'));
  return name === undefined ? null : join(folder, name);
}

function noConfig(folder: string, gguf: string | null): ModelError {
  const advice =
    gguf === null
      ? 'name a folder in Hugging Face layout, or download the model whole'
      : `for the model in its GGUF file name the file, "${gguf}"`;
  return new ModelError(`Expected config.json in "${folder}", got none; ${advice}.`, { details: { folder } });
}
