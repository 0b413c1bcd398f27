import { ModelError } from '../errors.ts';
import { GraphBuilder } from '../graph/graph.ts';
import type { Dim, Graph, Value } from '../graph/types.ts';
import { type ModelConfig, type Rope, ropeOf } from '../model/config.ts';
import type { ModelWeights, Projection } from '../model/weights.ts';
import {
  applyEdits,
  type BlockParts,
  blockScope,
  type EditPart,
  embedded,
  headLogits,
  keepLength,
  transformerBlock,
} from './block.ts';
import type { QuantisedOrPlainSource } from './quantised-weights.ts';
import { rotaryTables } from './rotary.ts';
import { WeightValues } from './weight-values.ts';

/**
 * What a built graph has room for. Both cost a little in every step, so a session starts small and is
 * rebuilt wider the first time a call needs more; a wider graph computes the same bits.
 */
export interface GraphRoom {
  /** Groups of edits a layer that act one after the other; edits of one group act side by side. */
  readonly stages: number;
  /** Whether every product has a LoRA beside it (one of zeros where a call brings none). */
  readonly adapters: boolean;
  /** Whether edits can keep the residual's length. */
  readonly norms: boolean;
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
  projections: 'projections',
  probe: (layer: number): string => `probe.${layer}`,
  keep: (layer: number, stage: number): string => `edit.${layer}.${stage}.keep`,
  past: (block: number, part: 'key' | 'value'): string => `${blockScope(block)}/past.${part}`,
  present: (block: number, part: 'key' | 'value'): string => `${blockScope(block)}/present.${part}`,
  edit: (layer: number, stage: number, part: EditPart): string => `edit.${layer}.${stage}.${part}`,
  lora: (block: number, projection: Projection, part: 'a' | 'b'): string =>
    `${blockScope(block)}/lora.${projection}.${part}`,
} as const;

/** Head sizes that the attention kernel rotates itself; others are rotated before it. */
export function rotatesInside(config: ModelConfig): boolean {
  return config.headSize % 16 === 0;
}

/**
 * The whole model as one graph in which all that varies is a run-time input.
 *
 * Inputs: `ids` [batch, position]; `seqlens` [batch], tokens in the cache after this step less one; `total` [1],
 * the longest of them plus one; `pool` [batch, reading, position], weights of the taps; `logit_index`
 * [batch, query] and `token_index` [batch, token], positions whose logits and residuals are wanted; `probe.*`
 * [batch, probe, width], half of the directions that each layer is projected on; the cache
 * `past.*` [batch, kvHeads, capacity, headSize]; `edit.*`, the interventions; `lora.*`, the adapter. Outputs: `taps`
 * [batch, reading, layer, width] and `tokens` [batch, token, layer, width], row l of the third axis being layer l;
 * `logits` [batch, query, vocabulary]; `projections` [batch, position, probe], by layer; `present.*`, to be bound to the past's buffers.
 *
 * A row's bits must not depend on its neighbours. The runtime's products with packed weights give that by
 * themselves. Its products of two run-time tensors cut their sums where the number of columns tells them to, and
 * have a kernel of their own for a single row; so every such product here has at most `narrow` columns or a
 * sum no longer than that, and where a single row can occur, a factor (`alpha`) that rules that kernel out.
 */
export function buildTransformer(
  config: ModelConfig,
  weights: ModelWeights<QuantisedOrPlainSource>,
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

class TransformerBuilder implements BlockParts {
  readonly g: GraphBuilder;
  readonly config: ModelConfig;
  readonly weights: ModelWeights<QuantisedOrPlainSource>;
  readonly values: WeightValues;
  private readonly room: GraphRoom;
  private readonly inputs: AttentionInputs;
  private readonly ids: Value;
  private readonly pool: Value;

  constructor(
    config: ModelConfig,
    weights: ModelWeights<QuantisedOrPlainSource>,
    room: GraphRoom,
    context: number,
  ) {
    this.g = new GraphBuilder(config.modelType);
    this.config = config;
    this.weights = weights;
    this.values = new WeightValues(this.g);
    this.room = room;
    this.ids = this.g.input(names.ids, 'i64', ['batch', 'position']);
    this.pool = this.g.input(names.pool, 'f32', ['batch', 'reading', 'position']);
    this.inputs = attentionInputs(this.g, config, context);
  }

  build(): Graph {
    const { g, config } = this;
    let hidden = embedded(this, this.ids); // [batch, position, width]
    const tokenIndex = g.input(names.tokenIndex, 'i64', ['batch', 'token', 1]);
    const layers = [hidden];
    for (let block = 0; block < config.layers; block++) {
      hidden = this.edits(block + 1, transformerBlock(this, block, hidden));
      layers.push(hidden);
    }
    const stack = (values: Value[]): Value => g.concat(values, 2); // [batch, …, layer, width]
    g.output(names.taps, stack(layers.map((layer) => this.tap(layer))));
    g.output(names.tokens, stack(layers.map((layer) => g.unsqueeze(g.gatherRows(layer, tokenIndex), [2]))));
    g.output(
      names.projections,
      g.concat(
        layers.map((layer, l) => this.project(l, layer)),
        2,
        { length: 'probes' },
      ),
    );
    const index = g.input(names.logitIndex, 'i64', ['batch', 'query', 1]);
    g.output(names.logits, headLogits(this, g.gatherRows(hidden, index))); // [batch, query, vocabulary]
    return g.build();
  }

  /** Attention over the cache; where the kernel does not rotate heads of this size, they are rotated before it. */
  attend(block: number, query: Value, key: Value, value: Value): Value {
    const { g, config, inputs } = this;
    const { heads, kvHeads, headSize } = config;
    const inside = inputs.positions === null;
    const { cos, sin } = inputs.tables(block);
    const rotated = (states: Value, count: number): Value =>
      inputs.positions === null
        ? states
        : g.rotaryEmbedding(states, inputs.positions, cos, sin, { heads: count });
    const cacheShape = ['batch', kvHeads, 'capacity', headSize];
    const window = config.windows[block] ?? null;
    const [out, presentKey, presentValue] = g.groupQueryAttention(
      rotated(query, heads),
      rotated(key, kvHeads),
      value,
      g.input('past.key', 'f32', cacheShape),
      g.input('past.value', 'f32', cacheShape),
      inputs.seqlens,
      inputs.total,
      inside ? cos : null,
      inside ? sin : null,
      {
        heads,
        kvHeads,
        rotary: inside,
        ...(window === null ? {} : { window }),
        // The kernel's own default has the same bits as ever; a factor that says the same might not.
        ...(config.attentionScale === 1 / Math.sqrt(headSize) ? {} : { scale: config.attentionScale }),
        ...(config.attentionSoftcap === null ? {} : { softcap: config.attentionSoftcap }),
      },
    );
    g.output('present.key', presentKey);
    g.output('present.value', presentValue);
    return out;
  }

  /** y + (x Aᵀ) Bᵀ, the rank taken in chunks of `narrow`. */
  adapt(block: number, projection: Projection, x: Value, y: Value): Value {
    const { g } = this;
    if (!this.room.adapters) return y;
    const input = x.type.shape.at(-1)!;
    const out = y.type.shape.at(-1)!;
    const chunks = `chunks.${block}.${projection}`;
    const a = g.input(`lora.${projection}.a`, 'f32', [chunks, 1, narrow, input]);
    const b = g.input(`lora.${projection}.b`, 'f32', [chunks, 1, out, narrow]);
    const product = { transposeB: true, alpha: productFactor } as const;
    const inner = g.matMul(g.unsqueeze(x, [0]), a, product); // [chunk, batch, position, narrow]
    return g.add(y, g.reduceSum(g.matMul(inner, b, product), [0], { keepDims: false }));
  }

  /** The interventions of a layer, stage after stage. */
  private edits(layer: number, hidden: Value): Value {
    const { g, config } = this;
    let edited = hidden;
    for (let stage = 0; stage < this.room.stages; stage++) {
      const shapes = editShapes('batch', `directions.${layer}.${stage}`, config.width);
      const before = edited;
      edited = applyEdits(g, edited, (part) => g.input(names.edit(layer, stage, part), 'f32', shapes[part]));
      if (!this.room.norms) continue;
      const keep = g.input(names.keep(layer, stage), 'f32', ['batch', 'position', 1]);
      edited = keepLength(g, before, edited, keep);
    }
    return edited;
  }

  /** Dot products with a layer's probes, none or `narrow` of them: `[batch, position, probe]`. */
  private project(layer: number, hidden: Value): Value {
    const { g, config } = this;
    const probes = g.input(names.probe(layer), 'f32', ['batch', `probes.${layer}`, config.width]);
    return g.matMul(hidden, probes, { transposeB: true, alpha: 1 / productFactor });
  }

  /** Weighted sums over positions; as hᵀ poolᵀ, because readings are few and the width is not. */
  private tap(hidden: Value): Value {
    const { g } = this;
    const summed = g.matMul(hidden, this.pool, { transposeA: true, transposeB: true }); // [batch, width, reading]
    return g.unsqueeze(g.transpose(summed, [0, 2, 1]), [2]); // [batch, reading, 1, width]
  }
}

/** Shapes of the parts of `count` edits. */
export function editShapes(
  batch: Dim,
  count: Dim,
  width: number,
): Readonly<Record<EditPart, readonly Dim[]>> {
  const bound = [batch, 1, count];
  return {
    directions: [batch, count, width],
    add: bound,
    min: bound,
    max: bound,
    mask: ['batch', 'position', count],
  };
}

interface AttentionInputs {
  readonly seqlens: Value;
  readonly total: Value;
  readonly positions: Value | null;
  /** Cosines and sines of a block's rotary embedding, `[context, headSize / 2]` each. */
  tables(block: number): { readonly cos: Value; readonly sin: Value };
}

function attentionInputs(g: GraphBuilder, config: ModelConfig, context: number): AttentionInputs {
  const { headSize } = config;
  const shape = [context, headSize / 2];
  const known = new Map<Rope, { readonly cos: Value; readonly sin: Value }>();
  return {
    seqlens: g.input(names.seqlens, 'i32', ['batch']),
    total: g.input(names.total, 'i32', [1]),
    positions: rotatesInside(config) ? null : g.input(names.positions, 'i64', ['batch', 'position']),
    tables: (block) => {
      const rope = ropeOf(config, block);
      const made = known.get(rope);
      if (made !== undefined) return made;
      const { cos, sin } = rotaryTables(rope, headSize, context);
      const tables = { cos: g.constant('rotary.cos', cos, shape), sin: g.constant('rotary.sin', sin, shape) };
      known.set(rope, tables);
      return tables;
    },
  };
}
