import { ModelError } from '../errors.ts';
import { GraphBuilder } from '../graph/graph.ts';
import type { DataType, FileRange, Graph, Value } from '../graph/types.ts';
import type { ModelConfig } from '../model/config.ts';
import type { BlockWeights, ModelWeights, Projection, WeightDtype } from '../model/weights.ts';
import { isQuantised, type QuantisedOrPlainSource, type QuantisedSource } from './quantised-weights.ts';
import { rotaryTables } from './rotary.ts';

/**
 * What a built graph has room for. Both cost a little in every step, so a session starts small and is
 * rebuilt wider the first time a call needs more; a wider graph computes the same bits.
 */
export interface GraphRoom {
  /** Groups of edits a layer that act one after the other; edits of one group act side by side. */
  readonly stages: number;
  /** Whether every product has a LoRA beside it (one of zeros where a call brings none). */
  readonly adapters: boolean;
}

/** Columns up to which the runtime takes a sum in pieces of equal length whatever the batch. */
export const narrow = 16;

/** A power of two, so that it changes no bit; any value but 1 keeps single rows on the common kernel. */
export const productFactor = 0.5;

/** Names of the graph's inputs and outputs, in one place for the graph and for those who feed it. */
export const names = {
  ids: 'ids',
  positions: 'positions',
  seqlens: 'seqlens',
  total: 'total',
  pool: 'pool',
  logitIndex: 'logit_index',
  tokenIndex: 'token_index',
  taps: 'taps',
  tokens: 'tokens',
  logits: 'logits',
  past: (block: number, part: 'key' | 'value'): string => `${blockScope(block)}/past.${part}`,
  present: (block: number, part: 'key' | 'value'): string => `${blockScope(block)}/present.${part}`,
  edit: (layer: number, stage: number, part: EditPart): string => `edit.${layer}.${stage}.${part}`,
  lora: (block: number, projection: Projection, part: 'a' | 'b'): string =>
    `${blockScope(block)}/lora.${projection}.${part}`,
} as const;
/** What is made inside a block carries the block's name before its own. */
function blockScope(block: number): string {
  return `block.${block}`;
}

export type EditPart = 'directions' | 'add' | 'min' | 'max' | 'mask';

/** Head sizes that the attention kernel rotates itself; others are rotated before it. */
export function rotatesInside(config: ModelConfig): boolean {
  return config.headSize % 16 === 0;
}

/**
 * The whole model as one graph in which all that varies is a run-time input.
 *
 * Inputs: `ids` [batch, position]; `seqlens` [batch], tokens in the cache after this step less one; `total` [1],
 * the longest of them plus one; `pool` [batch, reading, position], weights of the taps; `logit_index`
 * [batch, query] and `token_index` [batch, token], positions whose logits and residuals are wanted; the cache
 * `past.*` [batch, kvHeads, capacity, headSize]; `edit.*`, the interventions; `lora.*`, the adapter. Outputs: `taps`
 * [batch, reading, layer, width] and `tokens` [batch, token, layer, width], row l of the third axis being layer l;
 * `logits` [batch, query, vocabulary]; `present.*`, to be bound to the past's buffers.
 *
 * A row's bits must not depend on its neighbours. The runtime's products with packed weights give that by
 * themselves. Its products of two run-time tensors cut their sums where the number of columns tells them to, and
 * have a kernel of their own for a single row; so every such product here has at most `narrow` columns or a
 * sum no longer than that, and where a single row can occur, a factor (`alpha`) that rules that kernel out.
 */
export function buildTransformer(
  config: ModelConfig,
  weights: ModelWeights<Source>,
  room: GraphRoom,
  context: number,
): Graph {
  if (config.headSize % 8 !== 0) {
    throw new ModelError(
      `expected a head size that is a multiple of 8 (the attention kernel's rule), got ${config.headSize}`,
    );
  }
  return new TransformerBuilder(config, weights, room, context).build();
}

class TransformerBuilder {
  private readonly g: GraphBuilder;
  private readonly config: ModelConfig;
  private readonly weights: ModelWeights<Source>;
  private readonly room: GraphRoom;
  private readonly context: number;
  private readonly externals = new Map<string, Value>();

  constructor(config: ModelConfig, weights: ModelWeights<Source>, room: GraphRoom, context: number) {
    this.g = new GraphBuilder(config.modelType);
    this.config = config;
    this.weights = weights;
    this.room = room;
    this.context = context;
  }

  build(): Graph {
    const { g, config } = this;
    const ids = g.input(names.ids, 'i64', ['batch', 'position']);
    const pool = g.input(names.pool, 'f32', ['batch', 'reading', 'position']);
    const attention = this.attentionInputs();
    const embedding = this.raw(this.weights.embedding);
    // Gather first, cast after: a cast of the whole table would be folded into a second, wider table.
    let hidden = this.float(g.gather(embedding, ids)); // [batch, position, width]
    const tokenIndex = g.input(names.tokenIndex, 'i64', ['batch', 'token']);
    const layers = [hidden];
    for (let block = 0; block < config.layers; block++) {
      hidden = g.scope(blockScope(block), () => this.block(block, hidden, attention));
      hidden = this.edits(block + 1, hidden);
      layers.push(hidden);
    }
    const stack = (values: Value[]): Value => g.concat(values, 2); // [batch, …, layer, width]
    g.output(names.taps, stack(layers.map((layer) => this.tap(pool, layer))));
    g.output(names.tokens, stack(layers.map((layer) => g.unsqueeze(g.gatherRows(layer, tokenIndex), [2]))));
    g.output(names.logits, this.logits(hidden));
    return g.build();
  }

  private attentionInputs(): AttentionInputs {
    const { g, config } = this;
    const half = config.headSize / 2;
    const { cos, sin } = rotaryTables(config, this.context);
    return {
      seqlens: g.input(names.seqlens, 'i32', ['batch']),
      total: g.input(names.total, 'i32', [1]),
      positions: rotatesInside(config) ? null : g.input(names.positions, 'i64', ['batch', 'position']),
      cos: g.constant('rotary.cos', cos, [this.context, half]),
      sin: g.constant('rotary.sin', sin, [this.context, half]),
    };
  }

  private block(block: number, hidden: Value, attention: AttentionInputs): Value {
    const { g, config } = this;
    const weights = this.weights.blocks[block] as BlockWeights<Source>;
    const normed = g.rmsNorm(hidden, this.weight(weights.attentionNorm), config.normEps);
    const attended = this.attention(block, weights, normed, attention);
    const afterAttention = g.add(hidden, this.linear(block, 'o_proj', attended));
    const mlpInput = g.rmsNorm(afterAttention, this.weight(weights.mlpNorm), config.normEps);
    const gate = g.silu(this.linear(block, 'gate_proj', mlpInput));
    const up = this.linear(block, 'up_proj', mlpInput); // [batch, position, mlpWidth]
    return g.add(afterAttention, this.linear(block, 'down_proj', g.mul(gate, up)));
  }

  private attention(
    block: number,
    weights: BlockWeights<Source>,
    normed: Value,
    inputs: AttentionInputs,
  ): Value {
    const { g, config } = this;
    const { heads, kvHeads, headSize } = config;
    let query = this.linear(block, 'q_proj', normed); // [batch, position, heads * headSize]
    let key = this.linear(block, 'k_proj', normed); // [batch, position, kvHeads * headSize]
    const value = this.linear(block, 'v_proj', normed);
    query = this.headNorm(query, weights.queryNorm, heads);
    key = this.headNorm(key, weights.keyNorm, kvHeads);
    const inside = inputs.positions === null;
    if (inputs.positions !== null) {
      query = g.rotaryEmbedding(query, inputs.positions, inputs.cos, inputs.sin, { heads });
      key = g.rotaryEmbedding(key, inputs.positions, inputs.cos, inputs.sin, { heads: kvHeads });
    }
    const cacheShape = ['batch', kvHeads, 'capacity', headSize];
    const window = config.windows[block] ?? null;
    const [out, presentKey, presentValue] = g.groupQueryAttention(
      query,
      key,
      value,
      g.input('past.key', 'f32', cacheShape),
      g.input('past.value', 'f32', cacheShape),
      inputs.seqlens,
      inputs.total,
      inside ? inputs.cos : null,
      inside ? inputs.sin : null,
      { heads, kvHeads, rotary: inside, ...(window === null ? {} : { window }) },
    );
    g.output('present.key', presentKey);
    g.output('present.value', presentValue);
    return out;
  }

  /** RMS norm of every head by itself (qwen3); families without it pass through. */
  private headNorm(states: Value, gain: Source | null, heads: number): Value {
    if (gain === null) return states;
    const { g, config } = this;
    const split = g.reshape(states, ['batch', 'position', heads, config.headSize]);
    const normed = g.rmsNorm(split, this.weight(gain), config.normEps);
    return g.reshape(normed, ['batch', 'position', heads * config.headSize]);
  }

  /** x Wᵀ + bias + (x Aᵀ) Bᵀ, the rank taken in chunks of `narrow`. */
  private linear(block: number, projection: Projection, x: Value): Value {
    const { g } = this;
    const { weight, bias } = (this.weights.blocks[block] as BlockWeights<Source>).projections[projection];
    let y = this.product(x, weight);
    if (bias !== null) y = g.add(y, this.weight(bias));
    if (!this.room.adapters) return y;
    const [out, input] = weight.shape as readonly [number, number];
    const chunks = `chunks.${block}.${projection}`;
    const a = g.input(`lora.${projection}.a`, 'f32', [chunks, 1, narrow, input]);
    const b = g.input(`lora.${projection}.b`, 'f32', [chunks, 1, out, narrow]);
    const product = { transposeB: true, alpha: productFactor } as const;
    const inner = g.matMul(g.unsqueeze(x, [0]), a, product); // [chunk, batch, position, narrow]
    return g.add(y, g.reduceSum(g.matMul(inner, b, product), [0], { keepDims: false }));
  }

  /** h ← h + mask · (add + clamp(p, min, max) − p) · u with p = h · u, for the directions of every stage in turn. */
  private edits(layer: number, hidden: Value): Value {
    const { g, config } = this;
    let edited = hidden;
    for (let stage = 0; stage < this.room.stages; stage++) {
      const count = `directions.${layer}.${stage}`;
      const input = (part: EditPart, shape: readonly (number | string)[]): Value =>
        g.input(names.edit(layer, stage, part), 'f32', shape);
      const directions = input('directions', ['batch', count, config.width]);
      const projection = g.matMul(edited, directions, { transposeB: true }); // [batch, position, directions]
      const floor = g.max(projection, input('min', ['batch', 1, count]));
      const clamped = g.min(floor, input('max', ['batch', 1, count]));
      const shift = g.add(g.sub(clamped, projection), input('add', ['batch', 1, count]));
      const masked = g.mul(shift, input('mask', ['batch', 'position', count]));
      edited = g.add(edited, g.matMul(masked, directions));
    }
    return edited;
  }

  /** Weighted sums over positions; as hᵀ poolᵀ, because readings are few and the width is not. */
  private tap(pool: Value, hidden: Value): Value {
    const { g } = this;
    const summed = g.matMul(hidden, pool, { transposeA: true, transposeB: true }); // [batch, width, reading]
    return g.unsqueeze(g.transpose(summed, [0, 2, 1]), [2]); // [batch, reading, 1, width]
  }

  private logits(hidden: Value): Value {
    const { g, config } = this;
    const index = g.input(names.logitIndex, 'i64', ['batch', 'query']);
    const wanted = g.gatherRows(hidden, index); // [batch, query, width]
    const normed = g.rmsNorm(wanted, this.weight(this.weights.finalNorm), config.normEps);
    return this.product(normed, this.weights.head);
  }

  /** x Wᵀ. */
  private product(x: Value, source: Source): Value {
    const { g } = this;
    if (!isQuantised(source)) return g.matMul(x, this.weight(source), { transposeB: true });
    const [N, K] = source.shape;
    const { bits, blockSize } = source;
    const [q, scales] = this.blocks(source);
    // Level 4: the kernel rounds x to 8 bits a block too and multiplies in integers.
    return g.matMulNBits(x, q, scales, null, { K, N, bits, blockSize, accuracyLevel: 4 });
  }

  /** Packed weights `[N, blocks, bytes of a block]` and their scales `[N * blocks]`. */
  private blocks(source: QuantisedSource): readonly [Value, Value] {
    const { name, bits, blockSize, q, scales } = source;
    const [N, K] = source.shape;
    const blocks = Math.ceil(K / blockSize);
    return [
      this.external(`${name}.q`, 'u8', [N, blocks, (blockSize * bits) / 8], q),
      this.external(`${name}.scales`, 'f32', [N * blocks], scales),
    ];
  }

  private raw(source: Source): Value {
    if (isQuantised(source))
      throw new ModelError(`expected plain numbers for ${source.name}, got ${source.bits}-bit blocks`);
    return this.external(source.name, dataTypes[source.dtype], source.shape, source);
  }

  /** Tied weights are one tensor under one name. */
  private external(name: string, dtype: DataType, shape: readonly number[], range: FileRange): Value {
    const known = this.externals.get(name);
    if (known !== undefined) return known;
    const { file, offset, byteLength } = range;
    const own = name.replace(/^.*\.layers\.\d+\./, '');
    const value = this.g.external(own, dtype, shape, { file, offset, byteLength });
    this.externals.set(name, value);
    return value;
  }

  /** The runtime folds the cast of a narrow weight once, when the session is made. */
  private weight(source: Source): Value {
    return this.float(this.raw(source));
  }

  private float(value: Value): Value {
    return value.type.dtype === 'f32' ? value : this.g.cast(value, 'f32');
  }
}

type Source = QuantisedOrPlainSource;

interface AttentionInputs {
  readonly seqlens: Value;
  readonly total: Value;
  readonly positions: Value | null;
  readonly cos: Value;
  readonly sin: Value;
}

const dataTypes: Readonly<Record<WeightDtype, DataType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };
