import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Adapter, loadAdapter } from './adapter.ts';
import { loadChatTemplate, templateOf } from './chat-template.ts';
import type { ChatTemplate } from './chat-template.ts';
import { outlineConfig, parseConfig } from './config.ts';
import type { ModelConfig } from './config.ts';
import { generationDefaults, loadGenerationDefaults } from './generation-config.ts';
import type { GenerationDefaults } from './generation-config.ts';
import { readGgufModel } from './gguf-checkpoint.ts';
import { findModelFolder } from './hub-cache.ts';
import type { ModelFolder } from './hub-cache.ts';
import { jsonFields } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { type JsonObject, readJsonObject } from './json-text.ts';
import { locateWeights } from './locate-weights.ts';
import { pathKind } from './read-bytes.ts';
import { remoteId, type RemoteSpec } from './remote-spec.ts';
import { buildTokenizer, loadTokenizer } from './tokenizer.ts';
import type { TextTokenizer } from './tokenizer.ts';
import { findWeightFiles } from './weight-files.ts';
import type { ModelWeights, WeightSource } from './weights.ts';
import { ModelError, UsageError } from '../errors.ts';

/** A model, read and checked, with no weight loaded yet. */
export interface Checkpoint {
  /** Where the model is computed; null for this process. */
  readonly remote: RemoteSpec | null;
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
  /** Asking for those of a model on a server is a UsageError. */
  readonly weights: ModelWeights<WeightSource>;
  /** Tensors of the files that the model has no use for, by name; reports list them. */
  readonly unusedTensors: readonly string[];
  /** Absolute paths of the safetensors or GGUF files, links resolved, in the order of their names. */
  readonly weightFiles: readonly string[];
  /** The LoRA adapter that the model is run with; absent where there is none. All other fields but `id` are the base's. */
  readonly adapted?: {
    readonly adapter: Adapter;
    /** The model without it. */
    readonly base: Checkpoint;
  };
}

/** config.json of a published checkpoint has some kilobytes. */
const MAX_CONFIG_BYTES = 10_000_000;

/**
 * Opens a checkpoint: a folder in Hugging Face layout, a GGUF file, `owner/name[@revision]` in the local Hugging Face
 * cache, or a model on a server (`parseRemoteSpec`), of which the small files are read here and the server is not asked. Reads config.json, the tokenizer, the chat template and the headers of the weights, and checks that they fit each other;
 * no weight is loaded but those of an adapter.
 *
 * @param adapter A LoRA adapter that the model is run with; see `adaptCheckpoint`.
 * @throws UsageError when there is no such folder; ModelError when it holds no checkpoint that can be run; ParseError
 *   when one of its files is malformed.
 */
export async function loadCheckpoint(pathOrRepo: string, adapter?: string): Promise<Checkpoint> {
  const checkpoint = await loadBase(pathOrRepo);
  return adapter === undefined ? checkpoint : adaptCheckpoint(checkpoint, adapter);
}

/**
 * The model with a LoRA adapter, a folder in PEFT's layout or a name in the local Hugging Face cache, instead of the one that
 * it may have. Its id becomes `base+adapter`, and its fingerprint tells it from its base and from the base with another.
 *
 * @throws as `loadAdapter`; UsageError for a model on a server, which would have to apply the adapter itself.
 */
export async function adaptCheckpoint(checkpoint: Checkpoint, adapter: string): Promise<Checkpoint> {
  const base = baseOf(checkpoint);
  if (base.remote !== null) throw adaptedElsewhere(base.remote, adapter);
  const loaded = await loadAdapter(adapter, base.config);
  return { ...base, id: `${base.id}+${loaded.name}`, adapted: { adapter: loaded, base } };
}

/** UsageError for an adapter beside several models: it fits one of them, and nothing says which. */
export function requireOneModel(models: readonly string[], adapter: string | undefined): void {
  if (adapter === undefined || models.length < 2) return;
  throw new UsageError(
    `Expected one model beside the adapter "${adapter}", got ${models.length}; start one process for each.`,
    { details: { adapter } },
  );
}

/** The model without its adapter: what lies in its files, and what caches of its weights go by. */
export function baseOf(checkpoint: Checkpoint): Checkpoint {
  return checkpoint.adapted?.base ?? checkpoint;
}

async function loadBase(pathOrRepo: string): Promise<Checkpoint> {
  const found = await findModelFolder(pathOrRepo);
  if (found.remote !== null) return loadRemote(found, found.remote);
  return found.file === null ? loadFolder(found) : loadGguf(found, found.file);
}

async function loadFolder(found: ModelFolder): Promise<Checkpoint> {
  const { folder } = found;
  const config = await readConfig(folder, parseConfig);
  const stored = await findWeightFiles(folder);
  const located = locateWeights(stored, config);
  return { ...found, config, ...(await readText(folder, config)), ...located, weightFiles: stored.files };
}

/** The model's small files; weights are not looked for. */
async function loadRemote(found: ModelFolder, remote: RemoteSpec): Promise<Checkpoint> {
  const { folder, file } = found;
  const { weights: _, ...files } =
    file === null ? { weights: null, ...(await readSmallFiles(folder)) } : await loadGguf(found, file);
  const refuse = (): never => {
    throw weightsElsewhere(remote);
  };
  return {
    ...found,
    ...files,
    get weights() {
      return refuse();
    },
    get weightFiles() {
      return refuse();
    },
    unusedTensors: [],
  };
}

async function readSmallFiles(
  folder: string,
): Promise<Pick<Checkpoint, 'config' | 'tokenizer' | 'chatTemplate' | 'generation'>> {
  const config = await readConfig(folder, outlineConfig);
  return { config, ...(await readText(folder, config)) };
}

async function readConfig(
  folder: string,
  parse: (json: JsonObject, file: string) => ModelConfig,
): Promise<ModelConfig> {
  const file = join(folder, 'config.json');
  if ((await pathKind(file)) !== 'file') throw noConfig(folder, await ggufFileIn(folder));
  return parse(await readJsonObject(file, MAX_CONFIG_BYTES), file);
}

async function readText(
  folder: string,
  config: ModelConfig,
): Promise<Pick<Checkpoint, 'tokenizer' | 'chatTemplate' | 'generation'>> {
  const [tokenizer, chatTemplate, generation] = await Promise.all([
    loadTokenizer(folder, config.vocabSize),
    loadChatTemplate(folder),
    loadGenerationDefaults(folder, config),
  ]);
  return { tokenizer, chatTemplate, generation };
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

function weightsElsewhere(remote: RemoteSpec): UsageError {
  return new UsageError(
    `Expected the weights of ${remote.model} here, got a model on a server (${remoteId(remote)}), which does not give them; name a model folder or a GGUF file for this.`,
    { details: { model: remoteId(remote) } },
  );
}

function adaptedElsewhere(remote: RemoteSpec, adapter: string): UsageError {
  return new UsageError(
    `Expected a model of this machine beside the adapter "${adapter}", got one on a server (${remoteId(remote)}), which cannot be given files; have the server apply it (in vLLM --lora-modules NAME=DIR) and name what it serves as the model.`,
    { details: { model: remoteId(remote), adapter } },
  );
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
