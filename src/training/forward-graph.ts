import {
  applyEdits,
  type BlockParts,
  capped,
  embedded,
  headLogits,
  transformerBlock,
} from '../engine/block.ts';
import type { InterventionPlan } from '../engine/interventions.ts';
import type { QuantisedOrPlainSource } from '../engine/quantised-weights.ts';
import { editShapes, names } from '../engine/transformer.ts';
import type { WeightValues } from '../engine/weight-values.ts';
import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../graph/types.ts';
import { type ModelConfig, type Rope, ropeOf } from '../model/config.ts';
import type { ModelWeights, Projection } from '../model/weights.ts';
import { ropesOf, tokenNames } from './token-feeds.ts';

/** What is added to a projection's product. */
export type Adapt = (block: number, projection: Projection, x: Value, y: Value) => Value;

/** A model as a training graph takes it. */
export interface ForwardModel {
  readonly config: ModelConfig;
  readonly weights: ModelWeights<QuantisedOrPlainSource>;
  readonly values: WeightValues;
}

/**
 * The inputs that say what the tokens are. `ids` and `positions` (places within the row) `[batch, position]`, where
 * `batch` counts lines; `spans` `[batch, position]`, numbers that rise by 1 within a row and by more than its
 * length from row to row of a line; rotary tables `[context, headSize / 2]`; `queries` `[query]`, positions
 * counted over all lines, and the tokens `targets` `[query]` that come after them.
 */
export class TokenInputs {
  readonly ids: Value;
  readonly positions: Value;
  readonly queries: Value;
  readonly targets: Value;
  private readonly masks = new Map<number | null, Value>();
  private readonly tables = new Map<Rope, { readonly cos: Value; readonly sin: Value }>();

  constructor(g: GraphBuilder, config: ModelConfig) {
    const table = ['context', config.headSize / 2];
    this.ids = g.input(tokenNames.ids, 'i64', ['batch', 'position']);
    this.positions = g.input(tokenNames.positions, 'i64', ['batch', 'position']);
    ropesOf(config).forEach((rope, i) => {
      const input = (part: 'cos' | 'sin'): Value => g.input(tokenNames.rotary(i, part), 'f32', table);
      this.tables.set(rope, { cos: input('cos'), sin: input('sin') });
    });
    this.queries = g.input(tokenNames.queries, 'i64', ['query']);
    this.targets = g.input(tokenNames.targets, 'i64', ['query']);
    const spans = g.input(tokenNames.spans, 'f32', ['batch', 'position']);
    const reach = g.input(tokenNames.reach, 'f32', []);
    const distance = g.sub(g.unsqueeze(spans, [2]), g.unsqueeze(spans, [1])); // [batch, query, key]
    for (const window of new Set(config.windows))
      this.masks.set(window, makeMask(g, distance, reach, window));
  }

  /** Cosines and sines of a rotary embedding. */
  rotary(rope: Rope): { readonly cos: Value; readonly sin: Value } {
    return this.tables.get(rope)!;
  }

  /**
   * What is added to the scores of `[batch, query position, key position]`: 0 where the query sees the key, a large negative
   * number where it does not. A token sees itself and what comes before it in its own row, up to `window` in all.
   */
  mask(window: number | null): Value {
    return this.masks.get(window)!;
  }
}

/** Far below any score, and far from the end of the floats' range. */
const unseen = 1e30;

function makeMask(g: GraphBuilder, distance: Value, reach: Value, window: number | null): Value {
  const number = (value: number): Value => g.constant(`mask.${value}`, Float32Array.of(value), []);
  const limit = window === null ? reach : g.min(reach, number(window - 1));
  const outside = g.min(g.min(distance, g.sub(limit, distance)), number(0));
  return g.mul(g.max(outside, number(-1)), number(unseen));
}

/** The forward pass of a training graph: embeddings, blocks and interventions, up to the last residual. */
export class TrainingForward implements BlockParts {
  readonly g: GraphBuilder;
  readonly config: ModelConfig;
  readonly weights: ModelWeights<QuantisedOrPlainSource>;
  readonly values: WeightValues;
  readonly adapt: Adapt;
  private readonly tokens: TokenInputs;

  constructor(
    g: GraphBuilder,
    model: ForwardModel,
    tokens: TokenInputs,
    adapt: Adapt = (_b, _p, _x, y) => y,
  ) {
    this.g = g;
    this.config = model.config;
    this.weights = model.weights;
    this.values = model.values;
    this.tokens = tokens;
    this.adapt = adapt;
  }

  /**
   * The residual stream `[batch, position, width]` of every layer up to `last`, entry l = layer l; `edit` changes what
   * a block gives before anything reads it.
   */
  layers(
    edit: (layer: number, hidden: Value) => Value = (_, hidden) => hidden,
    last: number = this.config.layers,
  ): Value[] {
    let hidden = embedded(this, this.tokens.ids);
    const layers = [hidden];
    for (let block = 0; block < last; block++) {
      hidden = edit(block + 1, transformerBlock(this, block, hidden));
      layers.push(hidden);
    }
    return layers;
  }

  /** Logits `[query, vocabulary]` of the queries from the last layer's residuals. */
  logits(hidden: Value): Value {
    const flat = flatten(this.g, hidden);
    return headLogits(this, this.g.gather(flat, this.tokens.queries));
  }

  /** Products, softmax and mask, all of which have gradients; a group of query heads meets its key head as one matrix. */
  attend(block: number, query: Value, key: Value, value: Value): Value {
    const { g, config, tokens } = this;
    const { heads, kvHeads, headSize } = config;
    const group = heads / kvHeads;
    const rows = group === 1 ? 'position' : `${group}*position`;
    const mask = tokens.mask(config.windows[block] ?? null);
    const { cos, sin } = tokens.rotary(ropeOf(config, block));
    const rotated = (states: Value, count: number): Value =>
      g.rotaryEmbedding(states, tokens.positions, cos, sin, { heads: count });
    const byHead = (states: Value): Value =>
      g.transpose(g.reshape(states, ['batch', 'position', kvHeads, headSize]), [0, 2, 1, 3]);
    const grouped = g.reshape(rotated(query, heads), ['batch', 'position', kvHeads, group, headSize]);
    const queries = g.reshape(g.transpose(grouped, [0, 2, 3, 1, 4]), ['batch', kvHeads, rows, headSize]);
    const keys = byHead(rotated(key, kvHeads));
    const scaled = g.matMul(queries, keys, { transposeB: true, alpha: config.attentionScale });
    const scores = capped(g, scaled, config.attentionSoftcap);
    const square = g.reshape(scores, ['batch', kvHeads, group, 'position', 'position']);
    const weights = g.softmax(g.add(square, g.unsqueeze(mask, [1, 2])), -1);
    const mixed = g.matMul(g.reshape(weights, ['batch', kvHeads, rows, 'position']), byHead(value));
    const split = g.reshape(mixed, ['batch', kvHeads, group, 'position', headSize]);
    return g.reshape(g.transpose(split, [0, 3, 1, 2, 4]), ['batch', 'position', heads * headSize]);
  }
}

/** The interventions of a plan as an edit of the residual stream, with directions that all lines share. */
export function planEdits(
  g: GraphBuilder,
  plan: InterventionPlan,
  width: number,
): (layer: number, hidden: Value) => Value {
  return (layer, hidden) => {
    const stages = plan.layers.get(layer)?.length ?? 0;
    let edited = hidden;
    for (let stage = 0; stage < stages; stage++) {
      const shapes = editShapes(1, `directions.${layer}.${stage}`, width);
      edited = applyEdits(g, edited, (part) => g.input(names.edit(layer, stage, part), 'f32', shapes[part]));
    }
    return edited;
  };
}

/** `[batch, position, width]` as `[batch * position, width]`. */
export function flatten(g: GraphBuilder, states: Value): Value {
  return g.reshape(states, ['batch*position', states.type.shape.at(-1)!]);
}
