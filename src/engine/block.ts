/** The transformer's inside, the same for every graph that runs a model: blocks, norms, edits, logits. */

import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../graph/types.ts';
import type { ModelConfig } from '../model/config.ts';
import type { BlockWeights, ModelWeights, Projection } from '../model/weights.ts';
import type { QuantisedOrPlainSource } from './quantised-weights.ts';
import type { WeightValues } from './weight-values.ts';

/** What differs between graphs: how tokens attend to each other, and what stands beside a product. */
export interface BlockParts {
  readonly g: GraphBuilder;
  readonly config: ModelConfig;
  readonly weights: ModelWeights<QuantisedOrPlainSource>;
  readonly values: WeightValues;
  /**
   * Rotates query `[batch, position, heads * headSize]` and key, and attends; key and value
   * `[batch, position, kvHeads * headSize]` → `[batch, position, heads * headSize]`.
   */
  attend(block: number, query: Value, key: Value, value: Value): Value;
  /** `y` = x Wᵀ (+ bias) with an adapter's product added, where there is one. */
  adapt(block: number, projection: Projection, x: Value, y: Value): Value;
}

export type EditPart = 'directions' | 'add' | 'min' | 'max' | 'mask';

/** What is made inside a block carries the block's name before its own. */
export function blockScope(block: number): string {
  return `block.${block}`;
}

/** Embeddings of ids `[batch, position]` as they enter the stream, `[batch, position, width]`. */
export function embedded({ g, config, values, weights }: BlockParts, ids: Value): Value {
  const rows = values.rows(weights.embedding, ids);
  return config.embeddingScale === 1 ? rows : g.mul(rows, number(g, config.embeddingScale));
}

/** One block, counted from 0: hidden `[batch, position, width]` → the same. */
export function transformerBlock(parts: BlockParts, block: number, hidden: Value): Value {
  const { g } = parts;
  return g.scope(blockScope(block), () => {
    const weights = blockWeights(parts, block);
    const attended = attention(parts, block, norm(parts, hidden, weights.attentionNorm));
    const afterAttention = g.add(hidden, norm(parts, attended, weights.attentionOutNorm));
    const given = mlp(parts, block, norm(parts, afterAttention, weights.mlpNorm));
    return g.add(afterAttention, norm(parts, given, weights.mlpOutNorm));
  });
}

/** Logits of residuals `[..., width]` after the last block → `[..., vocabulary]`. */
export function headLogits(parts: BlockParts, hidden: Value): Value {
  const logits = parts.values.product(finalNorm(parts, hidden), parts.weights.head);
  return capped(parts.g, logits, parts.config.logitSoftcap);
}

export function finalNorm(parts: BlockParts, hidden: Value): Value {
  return norm(parts, hidden, parts.weights.finalNorm);
}

/** c · tanh(x / c), or x where there is no cap. */
export function capped(g: GraphBuilder, x: Value, cap: number | null): Value {
  return cap === null ? x : g.mul(g.tanh(g.mul(x, number(g, 1 / cap))), number(g, cap));
}

/** RMS norm over the last axis, where the family has one. */
function norm({ g, config, values }: BlockParts, x: Value, gain: QuantisedOrPlainSource | null): Value {
  if (gain === null) return x;
  const stored = values.float(gain);
  const factor = config.normOffset === 0 ? stored : g.add(stored, number(g, config.normOffset));
  return g.rmsNorm(x, factor, config.normEps);
}

function mlp(parts: BlockParts, block: number, input: Value): Value {
  const { g, config } = parts;
  const gate = linear(parts, block, 'gate_proj', input);
  const up = linear(parts, block, 'up_proj', input); // [batch, position, mlpWidth]
  const active = config.activation === 'silu' ? g.silu(gate) : geluTanh(g, gate);
  return linear(parts, block, 'down_proj', g.mul(active, up));
}

/** ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), which is x · sigmoid of twice the tanh's argument. */
function geluTanh(g: GraphBuilder, x: Value): Value {
  const cubic = g.mul(g.mul(g.mul(x, x), x), number(g, 0.044715));
  return g.mul(x, g.sigmoid(g.mul(g.add(x, cubic), number(g, 2 * Math.sqrt(2 / Math.PI)))));
}

function number(g: GraphBuilder, value: number): Value {
  return g.constant(`number.${value}`, Float32Array.of(value), []);
}

/**
 * h ← h + mask · (add + clamp(p, min, max) − p) · u with p = h · u, for directions that act side by side.
 * `input` makes the parts: directions `[batch, count, width]`, add, min and max `[batch, 1, count]`, mask
 * `[batch, position, count]`; the batch axis may be 1 in all but the mask.
 */
export function applyEdits(g: GraphBuilder, hidden: Value, input: (part: EditPart) => Value): Value {
  const directions = input('directions');
  const projection = g.matMul(hidden, directions, { transposeB: true }); // [batch, position, directions]
  const floor = g.max(projection, input('min'));
  const clamped = g.min(floor, input('max'));
  const shift = g.add(g.sub(clamped, projection), input('add'));
  const masked = g.mul(shift, input('mask'));
  return g.add(hidden, g.matMul(masked, directions));
}

/**
 * `edited` at the length of `hidden` where `keep` `[batch, position, 1]` is 1, and as it is, bit for bit, where it is 0.
 * A residual without length stays without one.
 */
export function keepLength(g: GraphBuilder, hidden: Value, edited: Value, keep: Value): Value {
  const scalar = (name: string, value: number): Value => g.constant(name, Float32Array.of(value), [1]);
  const squares = (x: Value): Value => g.reduceSum(g.mul(x, x), [2]); // [batch, position, 1]
  const least = scalar('least_square', 1e-30);
  const ratio = g.sqrt(g.div(squares(hidden), g.max(squares(edited), least)));
  const kept = g.greaterOrEqual(keep, scalar('half', 0.5));
  return g.where(kept, g.mul(edited, ratio), edited);
}

function attention(parts: BlockParts, block: number, normed: Value): Value {
  const { heads, kvHeads } = parts.config;
  const weights = blockWeights(parts, block);
  const query = linear(parts, block, 'q_proj', normed); // [batch, position, heads * headSize]
  const key = linear(parts, block, 'k_proj', normed); // [batch, position, kvHeads * headSize]
  const value = linear(parts, block, 'v_proj', normed);
  const attended = parts.attend(
    block,
    headNorms(parts, query, weights.queryNorm, heads),
    headNorms(parts, key, weights.keyNorm, kvHeads),
    value,
  );
  return linear(parts, block, 'o_proj', attended);
}

/** RMS norm of q or k: every head by itself, or all as one; families without it pass through. */
function headNorms(
  parts: BlockParts,
  states: Value,
  gain: QuantisedOrPlainSource | null,
  heads: number,
): Value {
  const { g, config } = parts;
  if (config.headNorm !== 'head') return norm(parts, states, gain);
  const [batch, position] = states.type.shape;
  const split = g.reshape(states, [batch!, position!, heads, config.headSize]);
  return g.reshape(norm(parts, split, gain), [batch!, position!, heads * config.headSize]);
}

/** x Wᵀ + bias, and what the graph adds beside it. */
function linear(parts: BlockParts, block: number, projection: Projection, x: Value): Value {
  const { g, values } = parts;
  const { weight, bias } = blockWeights(parts, block).projections[projection];
  const product = values.product(x, weight);
  return parts.adapt(block, projection, x, bias === null ? product : g.add(product, values.float(bias)));
}

function blockWeights({ weights }: BlockParts, block: number): BlockWeights<QuantisedOrPlainSource> {
  return weights.blocks[block]!;
}
