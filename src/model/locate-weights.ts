import type { ModelConfig } from './config.ts';
import { familyOf } from './families/index.ts';
import { quoteName } from './json-text.ts';
import { isGgufBlockType } from './gguf-types.ts';
import { isFloatDtype } from './safetensors-content.ts';
import type { StoredTensor, StoredTensors } from './weight-files.ts';
import { projections } from './weights.ts';
import type { BlockWeights, LinearWeights, ModelWeights, Projection, WeightSource } from './weights.ts';
import { ModelError } from '../errors.ts';

/** Old checkpoints store the rotary frequencies, which config.json gives as well. */
const ROTARY_TABLE = '.rotary_emb.inv_freq';

/** The weights of a model by role, and the tensors that its files hold beside them. */
export interface LocatedWeights {
  readonly weights: ModelWeights<WeightSource>;
  /** Names of tensors that the model has no use for, sorted. */
  readonly unusedTensors: readonly string[];
}

/**
 * Finds every weight that the configuration asks for, and checks its dtype and shape.
 *
 * @throws ModelError naming the tensor, when it is missing or not what the configuration says.
 */
export function locateWeights(stored: StoredTensors, config: ModelConfig): LocatedWeights {
  const finder = new WeightFinder(stored);
  const { weights: names } = familyOf(config.modelType);
  const matrix = [config.vocabSize, config.width];
  // Tied embeddings are stored under either name, or under both.
  const embeddingName = config.tiedEmbeddings && !finder.has(names.embedding) ? names.head : names.embedding;
  const embedding = finder.find(embeddingName, matrix);
  const weights: ModelWeights<WeightSource> = {
    embedding,
    head: config.tiedEmbeddings ? embedding : finder.find(names.head, matrix),
    finalNorm: finder.find(names.finalNorm, [config.width]),
    blocks: Array.from({ length: config.layers }, (_, layer) => locateBlock(finder, config, layer)),
  };
  return { weights, unusedTensors: finder.unused() };
}

/** `[out, in]` of every projection. */
export function projectionShapes(
  config: ModelConfig,
): Readonly<Record<Projection, readonly [out: number, input: number]>> {
  const { width, mlpWidth } = config;
  const queryWidth = config.heads * config.headSize;
  const kvWidth = config.kvHeads * config.headSize;
  return {
    q_proj: [queryWidth, width],
    k_proj: [kvWidth, width],
    v_proj: [kvWidth, width],
    o_proj: [width, queryWidth],
    gate_proj: [mlpWidth, width],
    up_proj: [mlpWidth, width],
    down_proj: [width, mlpWidth],
  };
}

/** A name of the family's with the block's index (from 0) in its slot. */
export function layerName(pattern: string, layer: number): string {
  return pattern.replace('{layer}', String(layer));
}

function locateBlock(finder: WeightFinder, config: ModelConfig, layer: number): BlockWeights<WeightSource> {
  const { weights: names } = familyOf(config.modelType);
  const shapes = projectionShapes(config);
  const biased: Readonly<Record<Projection, boolean>> = {
    q_proj: config.qkvBias,
    k_proj: config.qkvBias,
    v_proj: config.qkvBias,
    o_proj: config.outputBias,
    gate_proj: config.mlpBias,
    up_proj: config.mlpBias,
    down_proj: config.mlpBias,
  };
  const vector = (name: string | null, size: number): WeightSource | null =>
    name === null ? null : finder.find(layerName(name, layer), [size]);
  const linear = (projection: Projection): LinearWeights<WeightSource> => {
    const module = layerName(names.projections[projection], layer);
    const shape = shapes[projection];
    return {
      weight: locateMatrix(finder, config, projection, module),
      bias: biased[projection] ? finder.find(`${module}.bias`, [shape[0]]) : null,
    };
  };
  return {
    projections: Object.fromEntries(projections.map((name) => [name, linear(name)])) as Record<
      Projection,
      LinearWeights<WeightSource>
    >,
    attentionNorm: vector(names.attentionNorm, config.width),
    mlpNorm: vector(names.mlpNorm, config.width),
    attentionOutNorm: vector(names.attentionOutNorm, config.width),
    mlpOutNorm: vector(names.mlpOutNorm, config.width),
    queryNorm: vector(names.queryNorm, config.headNorm === 'head' ? config.headSize : shapes.q_proj[0]),
    keyNorm: vector(names.keyNorm, config.headNorm === 'head' ? config.headSize : shapes.k_proj[0]),
  };
}

/** A projection's matrix: a tensor, or its rows in one that it shares with others. */
function locateMatrix(
  finder: WeightFinder,
  config: ModelConfig,
  projection: Projection,
  module: string,
): WeightSource {
  const shapes = projectionShapes(config);
  const { parts, firstRow, rows } = projectionRows(config, projection);
  const [out, input] = shapes[projection];
  if (parts.length === 1) return finder.find(`${module}.weight`, [out, input]);
  const whole = finder.find(`${module}.weight`, [rows, input]);
  const rowBytes = whole.byteLength / rows;
  return {
    ...whole,
    name: partName(whole.name, projection),
    shape: [out, input],
    offset: whole.offset + firstRow * rowBytes,
    byteLength: out * rowBytes,
  };
}

/** The matrix that a projection lies in: the projections that share it, from the top, and this one's rows. */
export function projectionRows(
  config: ModelConfig,
  projection: Projection,
): { readonly parts: readonly Projection[]; readonly firstRow: number; readonly rows: number } {
  const shapes = projectionShapes(config);
  const parts = familyOf(config.modelType).fused?.find((group) => group.includes(projection)) ?? [projection];
  const rowsOf = (names: readonly Projection[]): number =>
    names.reduce((sum, name) => sum + shapes[name][0], 0);
  return { parts, firstRow: rowsOf(parts.slice(0, parts.indexOf(projection))), rows: rowsOf(parts) };
}

/** Name of a projection's own share of something that it shares with others. */
export function partName(name: string, projection: Projection): string {
  return `${name}.${projection}`;
}

/** Looks tensors up by name or alias; two names of one tensor give the same object. */
class WeightFinder {
  readonly #stored: StoredTensors;
  readonly #sources = new Map<string, WeightSource>();
  readonly #names: ReadonlyMap<string, string>;

  constructor(stored: StoredTensors) {
    this.#stored = stored;
    this.#names = resolveAliases(stored);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  find(name: string, shape: readonly number[]): WeightSource {
    const storedName = this.#names.get(name);
    if (storedName === undefined) throw missing(this.#stored, name);
    const known = this.#sources.get(storedName);
    const source = known ?? toSource(this.#stored.tensors.get(storedName)!);
    checkShape(this.#stored, source, name, shape);
    this.#sources.set(storedName, source);
    return source;
  }

  unused(): string[] {
    return [...this.#stored.tensors.keys()]
      .filter((name) => !this.#sources.has(name) && !name.endsWith(ROTARY_TABLE))
      .sort();
  }
}

/**
 * Every name of a tensor → the name under which its bytes are stored. Hugging Face writes tensors that share memory
 * once and notes the other name in `__metadata__`; which of the two is the key there is not relied upon.
 */
function resolveAliases({ tensors, aliases }: StoredTensors): ReadonlyMap<string, string> {
  const names = new Map([...tensors.keys()].map((name) => [name, name]));
  for (const [a, b] of aliases) {
    if (tensors.has(b) && !tensors.has(a)) names.set(a, b);
    else if (tensors.has(a) && !tensors.has(b)) names.set(b, a);
  }
  return names;
}

function toSource(tensor: StoredTensor): WeightSource {
  const { name, dtype, shape, file, offset, byteLength, interleavedHeads } = tensor;
  if (!isGgufBlockType(dtype) && !isFloatDtype(dtype)) {
    throw new ModelError(
      `"${file}": expected tensor ${quoteName(name)} of F32, F16 or BF16, got ${dtype}; choose a checkpoint that is not quantised.`,
      { details: { file, tensor: name, got: dtype } },
    );
  }
  return {
    name,
    dtype,
    shape,
    ...(interleavedHeads === undefined ? {} : { interleavedHeads }),
    file,
    offset,
    byteLength,
  };
}

function checkShape(
  { settings, nameThere = same }: StoredTensors,
  source: WeightSource,
  name: string,
  expected: readonly number[],
): void {
  const { shape, file } = source;
  if (shape.length === expected.length && shape.every((axis, i) => axis === expected[i])) return;
  throw new ModelError(
    `"${file}": expected tensor ${quoteName(nameThere(name))} of shape [${expected.join(', ')}] by ${settings}, got [${shape.join(', ')}]; check that ${settings} belongs to these weights.`,
    { details: { file, tensor: name, expected: `[${expected.join(', ')}]`, got: `[${shape.join(', ')}]` } },
  );
}

function same(name: string): string {
  return name;
}

function missing(stored: StoredTensors, name: string): ModelError {
  const { folder, settings, nameThere = same } = stored;
  return new ModelError(
    `Expected tensor ${quoteName(nameThere(name))} in "${folder}" by ${settings}, got ${stored.tensors.size} tensors without it; check that ${settings} belongs to these weights and that all files are there.`,
    { details: { folder: stored.folder, tensor: name } },
  );
}
