import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { adapterRank, adapterScale, isTargeted, parseAdapterConfig } from './adapter-config.ts';
import type { AdapterConfig } from './adapter-config.ts';
import type { ModelConfig } from './config.ts';
import { familyOf } from './families/index.ts';
import { findModelFolder, type ModelFolder } from './hub-cache.ts';
import { quoteName, readJsonObject } from './json-text.ts';
import { layerName, projectionRows, projectionShapes } from './locate-weights.ts';
import { openFile, pathKind } from './read-bytes.ts';
import type { OpenFile } from './read-bytes.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import type { SafetensorsHeader, TensorEntry } from './safetensors.ts';
import { isFloatDtype, readFloats } from './safetensors-content.ts';
import { projections } from './weights.ts';
import type { Projection } from './weights.ts';
import { ModelError, UsageError } from '../errors.ts';

/** The two matrices that LoRA adds to one product: y = x Wᵀ + (x Aᵀ) Bᵀ. */
export interface LoraPair {
  readonly rank: number;
  /** `[rank, in]`. */
  readonly a: Float32Array;
  /** `[out, rank]`, the scale (alpha/r, or alpha/√r with rs-LoRA) already multiplied in. */
  readonly b: Float32Array;
}

/** A LoRA adapter, checked against the model that it adapts. */
export interface Adapter {
  /** How reports name it: the folder's last part. */
  readonly name: string;
  /** Of all that it adds, to tell it from others: every rank and number, the scale among them. */
  readonly sha256: string;
  /** Index: block, from 0. A projection that is not adapted is absent. */
  readonly blocks: readonly Readonly<Partial<Record<Projection, LoraPair>>>[];
}

const CONFIG_FILE = 'adapter_config.json';
const WEIGHTS_FILE = 'adapter_model.safetensors';
/** PEFT writes some kilobytes. */
const MAX_CONFIG_BYTES = 10_000_000;
/** PEFT wraps the model twice, and its names say so. */
const MODULE_PREFIX = 'base_model.model.';

/** One adapted product of an adapter's files. */
export interface StoredPair {
  /** Block, from 0. */
  readonly layer: number;
  readonly projection: Projection;
  readonly rank: number;
  /** What the product of the two matrices is multiplied by. */
  readonly scale: number;
  /** `[rank, in]`. */
  readonly a: Float32Array;
  /** `[out, rank]`, the projection's rows of what is in the file, without the scale. */
  readonly b: Float32Array;
}

/**
 * Loads a LoRA adapter in PEFT's layout (adapter_config.json and adapter_model.safetensors) for a model of `config`;
 * `pathOrRepo` is a folder, or a name in the local Hugging Face cache.
 *
 * @throws UsageError when there is no such folder; ModelError when the adapter is of another kind or does not fit the
 *   model, naming the tensor; ParseError when a file is malformed.
 */
export async function loadAdapter(pathOrRepo: string, config: ModelConfig): Promise<Adapter> {
  const { id, pairs } = await readAdapter(pathOrRepo, config);
  const blocks = Array.from({ length: config.layers }, (): Partial<Record<Projection, LoraPair>> => ({}));
  for (const { layer, projection, rank, scale, a, b } of pairs) {
    blocks[layer]![projection] = { rank, a, b: b.map((value) => value * scale) };
  }
  return { name: id, sha256: hashOf(blocks), blocks };
}

/** A file's hash would miss what adapter_config.json says of the scale. */
function hashOf(blocks: Adapter['blocks']): string {
  const hash = createHash('sha256');
  for (const [layer, block] of blocks.entries()) {
    for (const projection of projections) {
      const pair = block[projection];
      if (pair === undefined) continue;
      hash.update(`${layer} ${projection} ${pair.rank}\n`).update(pair.a).update(pair.b);
    }
  }
  return hash.digest('hex');
}

/** As `loadAdapter`, with the pairs as they are stored. */
export async function readAdapter(
  pathOrRepo: string,
  config: ModelConfig,
): Promise<{ readonly id: string; readonly pairs: readonly StoredPair[] }> {
  const { folder, file: gguf, id } = await findAdapter(pathOrRepo);
  if (gguf !== null) throw notAnAdapter(gguf);
  const configFile = await requireFile(folder, CONFIG_FILE);
  const weightsFile = await requireFile(folder, WEIGHTS_FILE);
  const adapterConfig = parseAdapterConfig(await readJsonObject(configFile, MAX_CONFIG_BYTES), configFile);
  const header = await readSafetensorsHeader(weightsFile);
  const plans = planPairs(header, adapterConfig, config);
  refuseOthers(header, plans);
  const file = await openFile(weightsFile);
  try {
    const pairs: StoredPair[] = [];
    for (const plan of plans) {
      const [a, whole] = [await readFloatEntry(file, plan.a), await readFloatEntry(file, plan.b)];
      const { firstRow } = projectionRows(config, plan.projection);
      const [out] = projectionShapes(config)[plan.projection];
      pairs.push({ ...plan, a, b: whole.slice(firstRow * plan.rank, (firstRow + out) * plan.rank) });
    }
    return { id, pairs };
  } finally {
    await file.handle.close();
  }
}

/**
 * Name of one matrix of the pair that adapts `projection` of block `layer`, as PEFT writes it; projections that lie in one
 * matrix share it.
 */
export function adapterTensorName(
  config: ModelConfig,
  layer: number,
  projection: Projection,
  part: 'A' | 'B',
): string {
  const module = layerName(familyOf(config.modelType).weights.projections[projection], layer);
  return `${MODULE_PREFIX}${module}.lora_${part}.weight`;
}

/** The two tensors of one adapted product, checked but not read. */
interface PairPlan {
  readonly layer: number;
  readonly projection: Projection;
  readonly rank: number;
  readonly scale: number;
  readonly a: TensorEntry;
  readonly b: TensorEntry;
}

function planPairs(header: SafetensorsHeader, adapter: AdapterConfig, config: ModelConfig): PairPlan[] {
  const names = familyOf(config.modelType).weights.projections;
  const shapes = projectionShapes(config);
  const plans: PairPlan[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    for (const projection of projections) {
      const module = layerName(names[projection], layer);
      const nameA = adapterTensorName(config, layer, projection, 'A');
      const nameB = adapterTensorName(config, layer, projection, 'B');
      const [a, b] = [header.tensors.get(nameA), header.tensors.get(nameB)];
      const targeted = isTargeted(adapter, module, layer);
      if (a === undefined && b === undefined && targeted !== true) continue;
      if (a === undefined) throw missing(header, nameA);
      if (b === undefined) throw missing(header, nameB);
      if (targeted === false) throw untargeted(header, module);
      const [rank, [, input]] = [adapterRank(adapter, module), shapes[projection]];
      checkTensor(header.file, a, [rank, input]);
      checkTensor(header.file, b, [projectionRows(config, projection).rows, rank]);
      plans.push({ layer, projection, rank, scale: adapterScale(adapter, module), a, b });
    }
  }
  return plans;
}

/** A tensor that nothing would use means that the adapter does more than the engine would compute. */
function refuseOthers(header: SafetensorsHeader, pairs: readonly PairPlan[]): void {
  const used = new Set(pairs.flatMap(({ a, b }) => [a.name, b.name]));
  const other = [...header.tensors.keys()].find((name) => !used.has(name));
  if (other === undefined) return;
  throw new ModelError(
    `"${header.file}": expected LoRA pairs of ${projections.join(', ')} of this model's blocks, got tensor ${quoteName(other)}; train the adapter on these projections of this model only.`,
    { details: { file: header.file, tensor: other } },
  );
}

async function readFloatEntry(file: OpenFile, entry: TensorEntry): Promise<Float32Array> {
  if (isFloatDtype(entry.dtype)) return readFloats(file, entry, entry.dtype);
  throw new ModelError(
    `"${file.path}": expected tensor ${quoteName(entry.name)} of F32, F16 or BF16, got ${entry.dtype}; convert the adapter first.`,
    { details: { file: file.path, tensor: entry.name, got: entry.dtype } },
  );
}

function checkTensor(file: string, entry: TensorEntry, expected: readonly number[]): void {
  if (entry.shape.length === expected.length && entry.shape.every((axis, i) => axis === expected[i])) return;
  const [want, got] = [`[${expected.join(', ')}]`, `[${entry.shape.join(', ')}]`];
  throw new ModelError(
    `"${file}": expected tensor ${quoteName(entry.name)} of shape ${want} by its rank and the model, got ${got}; use the model that the adapter was trained on.`,
    { details: { file, tensor: entry.name, expected: want, got } },
  );
}

/** As a model's folder is found; what is wrong is told of the adapter, since a model is named beside it. */
async function findAdapter(pathOrRepo: string): Promise<ModelFolder> {
  try {
    return await findModelFolder(pathOrRepo);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { message, details } = error;
    throw new UsageError(`The adapter: ${message.slice(0, 1).toLowerCase()}${message.slice(1)}`, {
      details,
      cause: error,
    });
  }
}

async function requireFile(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  if ((await pathKind(path)) === 'file') return path;
  throw new ModelError(
    `Expected ${name} in the adapter folder "${folder}", got none; name a folder as PEFT saves it.`,
    { details: { folder, file: name } },
  );
}

function missing(header: SafetensorsHeader, name: string): ModelError {
  return new ModelError(
    `"${header.file}": expected tensor ${quoteName(name)} by ${CONFIG_FILE}, got ${header.tensors.size} tensors without it; save the adapter again.`,
    { details: { file: header.file, tensor: name } },
  );
}

function untargeted(header: SafetensorsHeader, module: string): ModelError {
  return new ModelError(
    `"${header.file}": expected tensors of the modules that ${CONFIG_FILE} targets, got a pair for ${quoteName(module)}, which it does not; take both files from the same adapter.`,
    { details: { file: header.file, module } },
  );
}

function notAnAdapter(path: string): UsageError {
  return new UsageError(
    `Expected a folder with an adapter in PEFT's layout, got the GGUF file "${path}"; name the folder that the adapter was trained into.`,
    { details: { path } },
  );
}
