import { join } from 'node:path';
import type { GgufBlockType } from './gguf-types.ts';
import { jsonFields } from './json-fields.ts';
import { describeJson, isJsonObject, quoteName, readJsonObject } from './json-text.ts';
import type { Json, JsonObject } from './json-text.ts';
import { pathKind, resolveLinks } from './read-bytes.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import type { SafetensorsDtype, SafetensorsHeader, TensorEntry } from './safetensors.ts';
import { ModelError, ParseError } from '../errors.ts';

/** A tensor of a checkpoint and the file that holds it. */
export interface StoredTensor extends Omit<TensorEntry, 'dtype'> {
  readonly dtype: SafetensorsDtype | GgufBlockType;
  /** As in `WeightSource`. */
  readonly interleavedHeads?: number;
  /** Absolute path with every symbolic link resolved. */
  readonly file: string;
}

/** All tensors of a checkpoint's files, none of them loaded. */
export interface StoredTensors {
  /** The folder, or the GGUF file. */
  readonly folder: string;
  /** What the model's sizes come from, in messages: `config.json`. */
  readonly settings: string;
  /** What a tensor that the family calls so is called there; absent where names are the family's. */
  readonly nameThere?: (name: string) => string;
  /** Absolute paths with every symbolic link resolved, in the order of the shards' names. */
  readonly files: readonly string[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Other names of tensors, either way round: what the files' `__metadata__` says. */
  readonly aliases: ReadonlyMap<string, string>;
}

/** The weights of a model in one file. */
export const SINGLE_FILE = 'model.safetensors';
/** Names the files of a model whose weights are in several. */
export const INDEX_FILE = 'model.safetensors.index.json';
/** The index names every tensor once, so it is bounded as the headers that it stands for. */
export const MAX_INDEX_BYTES = 100_000_000;
/** The largest published checkpoints have some hundred shards. */
const MAX_SHARDS = 4096;

/**
 * Finds the tensors of a model folder: `model.safetensors`, or the shards of `model.safetensors.index.json`.
 *
 * @throws ModelError when the folder holds no such files, a shard or a tensor is missing or comes twice; ParseError for a
 *   malformed file.
 */
export async function findWeightFiles(folder: string): Promise<StoredTensors> {
  const single = join(folder, SINGLE_FILE);
  if ((await pathKind(single)) === 'file') return collect(folder, new Map([[SINGLE_FILE, []]]));
  const index = join(folder, INDEX_FILE);
  if ((await pathKind(index)) !== 'file') throw noWeights(folder);
  return collect(folder, parseWeightIndex(await readJsonObject(index, MAX_INDEX_BYTES), index));
}

/**
 * The shards that an index names, sorted, each with the tensors that it is to hold.
 *
 * @throws ParseError for an index that is malformed or names a file outside its folder.
 */
export function parseWeightIndex(json: JsonObject, file: string): ReadonlyMap<string, readonly string[]> {
  const map = json['weight_map'];
  if (!isJsonObject(map)) throw jsonFields(json, file).wrong('weight_map', 'an object of tensor names');
  const shards = new Map<string, string[]>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (!isFileName(shard)) throw badShard(file, tensor, shard);
    const tensors = shards.get(shard);
    if (tensors === undefined) shards.set(shard, [tensor]);
    else tensors.push(tensor);
  }
  if (shards.size === 0 || shards.size > MAX_SHARDS) throw badShardCount(file, shards.size);
  return new Map([...shards].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function collect(
  folder: string,
  shards: ReadonlyMap<string, readonly string[]>,
): Promise<StoredTensors> {
  const files: string[] = [];
  const tensors = new Map<string, StoredTensor>();
  const aliases = new Map<string, string>();
  for (const [shard, expected] of shards) {
    const path = join(folder, shard);
    if ((await pathKind(path)) !== 'file') throw missingShard(folder, shard, shards.size);
    const header = await readSafetensorsHeader(path);
    requireTensors(header, expected);
    const file = await resolveLinks(path);
    files.push(file);
    for (const entry of header.tensors.values()) {
      const other = tensors.get(entry.name);
      if (other !== undefined) throw inTwoShards(folder, entry.name, other.file, file);
      tensors.set(entry.name, { ...entry, file });
    }
    for (const [alias, name] of header.metadata) aliases.set(alias, name);
  }
  return { folder, settings: 'config.json', files, tensors, aliases };
}

function requireTensors(header: SafetensorsHeader, expected: readonly string[]): void {
  for (const name of expected) {
    if (header.tensors.has(name)) continue;
    throw new ModelError(
      `"${header.file}": expected tensor ${quoteName(name)}, which the index says is here, got ${header.tensors.size} others; download this shard and the index again.`,
      { details: { file: header.file, tensor: name } },
    );
  }
}

/** Shards lie beside their index: anything with a separator in it could lead out of the folder. */
function isFileName(shard: Json): shard is string {
  return typeof shard === 'string' && /^[^/\\:\0]{1,255}$/.test(shard) && shard !== '.' && shard !== '..';
}

function badShard(file: string, tensor: string, shard: Json): ParseError {
  return new ParseError(
    `"${file}": expected a file name beside the index for tensor ${quoteName(tensor)}, got ${describeJson(shard)}; download the index again.`,
    { details: { file, tensor, got: describeJson(shard) } },
  );
}

function badShardCount(file: string, got: number): ParseError {
  return new ParseError(
    `"${file}": expected from 1 to ${MAX_SHARDS} shards, got ${got}; download the index again.`,
    { details: { file, got } },
  );
}

function noWeights(folder: string): ModelError {
  return new ModelError(
    `Expected ${SINGLE_FILE} or ${INDEX_FILE} in "${folder}", got neither; convert the checkpoint to safetensors or download it whole.`,
    { details: { folder } },
  );
}

function missingShard(folder: string, shard: string, count: number): ModelError {
  return new ModelError(
    `Expected the shard ${describeJson(shard)} (one of ${count}) in "${folder}", got none; download the missing file.`,
    { details: { folder, shard } },
  );
}

function inTwoShards(folder: string, tensor: string, first: string, second: string): ModelError {
  return new ModelError(
    `Expected every tensor of "${folder}" in one file, got ${quoteName(tensor)} in both "${first}" and "${second}"; remove the file that does not belong.`,
    { details: { folder, tensor, first, second } },
  );
}
