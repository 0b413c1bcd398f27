import { BuilderCore } from './builder-core.ts';
import type { DataType, Dim, Value } from './types.ts';
import type { AttentionAttributes } from './ops/attention.ts';
import type { MatMulAttributes } from './ops/products.ts';
import type { MatMulNBitsAttributes } from './ops/quantised.ts';

/**
 * Builds a graph, one method an op. Each call checks element types and shapes at once and throws `GraphError`
 * with op, inputs, what was expected and what came. The last argument `name` names the result within the
 * current scope; without it the result is named after the op.
 *
 * Axes count from 0, negative ones from the back. Elementwise ops broadcast as NumPy does; a named axis meets
 * only itself or 1.
 */
export class GraphBuilder extends BuilderCore {
  /** a + b. */
  add(a: Value, b: Value, name?: string): Value {
    return this.applyOne('add', [a, b], {}, name);
  }

  /** a − b. */
  sub(a: Value, b: Value, name?: string): Value {
    return this.applyOne('sub', [a, b], {}, name);
  }

  /** a · b. */
  mul(a: Value, b: Value, name?: string): Value {
    return this.applyOne('mul', [a, b], {}, name);
  }

  /** a / b; integers round towards 0. */
  div(a: Value, b: Value, name?: string): Value {
    return this.applyOne('div', [a, b], {}, name);
  }

  min(a: Value, b: Value, name?: string): Value {
    return this.applyOne('min', [a, b], {}, name);
  }

  max(a: Value, b: Value, name?: string): Value {
    return this.applyOne('max', [a, b], {}, name);
  }

  neg(x: Value, name?: string): Value {
    return this.applyOne('neg', [x], {}, name);
  }

  exp(x: Value, name?: string): Value {
    return this.applyOne('exp', [x], {}, name);
  }

  /** Natural logarithm. */
  log(x: Value, name?: string): Value {
    return this.applyOne('log', [x], {}, name);
  }

  sqrt(x: Value, name?: string): Value {
    return this.applyOne('sqrt', [x], {}, name);
  }

  /** 1 / x. */
  reciprocal(x: Value, name?: string): Value {
    return this.applyOne('reciprocal', [x], {}, name);
  }

  /** 1 / (1 + exp(−x)). */
  sigmoid(x: Value, name?: string): Value {
    return this.applyOne('sigmoid', [x], {}, name);
  }

  /** x · sigmoid(x). */
  silu(x: Value, name?: string): Value {
    return this.applyOne('silu', [x], {}, name);
  }

  tanh(x: Value, name?: string): Value {
    return this.applyOne('tanh', [x], {}, name);
  }

  /** x under another name. */
  identity(x: Value, name?: string): Value {
    return this.applyOne('identity', [x], {}, name);
  }

  /** x, which counts as a constant when gradients are taken. */
  stopGradient(x: Value, name?: string): Value {
    return this.applyOne('stopGradient', [x], {}, name);
  }

  /** Whether a ≥ b. */
  greaterOrEqual(a: Value, b: Value, name?: string): Value {
    return this.applyOne('greaterOrEqual', [a, b], {}, name);
  }

  /** x where the condition holds, else y; all three broadcast. */
  where(condition: Value, x: Value, y: Value, name?: string): Value {
    return this.applyOne('where', [condition, x, y], {}, name);
  }

  /** x with another element type. */
  cast(x: Value, to: DataType, name?: string): Value {
    return this.applyOne('cast', [x], { to }, name);
  }

  /**
   * alpha · a b over the last two axes: `[..., M, K] × [..., K, N] → [..., M, N]`. The axes before them
   * broadcast, so `b` may be one matrix for a whole batch. `transposeA` takes a as `[..., K, M]`,
   * `transposeB` takes b as `[..., N, K]`, both without moving data.
   */
  matMul(a: Value, b: Value, options: MatMulAttributes = {}, name?: string): Value {
    const { transposeA, transposeB, alpha } = options;
    const attributes = {
      ...(transposeA === true && { transposeA }),
      ...(transposeB === true && { transposeB }),
      ...(alpha !== undefined && { alpha }),
    };
    return this.applyOne('matMul', [a, b], attributes, name);
  }

  /**
   * x Wᵀ with W stored in blocks: x `[..., K]`, q u8 `[N, blocks, blockSize · bits / 8]` with low bits first,
   * scales `[N, blocks]` or flat, zeroPoints u8 `[N, ⌈blocks · bits / 8⌉]` or flat (absent: 2^(bits − 1))
   * → `[..., N]`. A weight is (q − zero point) · scale.
   */
  matMulNBits(
    x: Value,
    q: Value,
    scales: Value,
    zeroPoints: Value | null,
    options: MatMulNBitsAttributes,
    name?: string,
  ): Value {
    const inputs = zeroPoints === null ? [x, q, scales] : [x, q, scales, zeroPoints];
    return this.applyOne('matMulNBits', inputs, options, name);
  }

  /**
   * (q − zero point) · scale for each number of 8-bit blocks: q u8 `[rows, blocks, blockSize]`, scales f32 and
   * zeroPoints u8 `[rows, blocks, 1]` → f32 `[rows, blocks, blockSize]`.
   */
  dequantise(
    q: Value,
    scales: Value,
    zeroPoints: Value,
    options: { readonly blockSize: number },
    name?: string,
  ): Value {
    return this.applyOne('dequantise', [q, scales, zeroPoints], options, name);
  }

  /** Rows of a table: table `[rows, ...]`, ids i64 or i32 `[...]`, each below `rows` (the runtime checks) → `[...ids, ...]`. */
  gather(table: Value, ids: Value, name?: string): Value {
    return this.applyOne('gather', [table, ids], {}, name);
  }

  /**
   * Positions of each batch row: x `[batch, position, ...]`, index i64 `[batch, query]` (or with a last axis of
   * 1) → `[batch, query, ...]`.
   */
  gatherRows(x: Value, index: Value, name?: string): Value {
    const rows = index.type.shape.length === 2 ? this.unsqueeze(index, [2]) : index;
    return this.applyOne('gatherRows', [x, rows], {}, name);
  }

  /**
   * Elements of x at `index` along `axis`: of the last axis, result[i, j] = x[i, index[i, j]]. The index, i64 or
   * i32, has the shape of x but along the axis.
   */
  gatherElements(x: Value, index: Value, axis: number, name?: string): Value {
    return this.applyOne('gatherElements', [x, index], { axis }, name);
  }

  /**
   * x with `updates` added at `index` along `axis`, one after the other where an index repeats: of axis 0,
   * result[index[i, j], j] += updates[i, j]. Index, i64 or i32, and updates have the shape of x but along the axis.
   */
  scatterAdd(x: Value, index: Value, updates: Value, axis: number, name?: string): Value {
    return this.applyOne('scatterAdd', [x, index, updates], { axis }, name);
  }

  /** x / √(mean of x² over the last axis + epsilon) · gain; gain `[width]`. */
  rmsNorm(x: Value, gain: Value, epsilon: number, name?: string): Value {
    return this.applyOne('rmsNorm', [x, gain], { epsilon }, name);
  }

  /** `[rmsNorm(x + skip), x + skip]` in one pass over memory; x and skip `[batch, position, width]`. */
  addRmsNorm(x: Value, skip: Value, gain: Value, epsilon: number, name?: string): readonly [Value, Value] {
    const [normed, sum] = this.apply('addRmsNorm', [x, skip, gain], { epsilon }, name);
    return [normed!, sum!];
  }

  /**
   * The same elements in another shape. Named axes may merge and move (`[batch, position, 64]` to
   * `['batch*position', 64]`), but at most one may stand elsewhere than in the input.
   */
  reshape(x: Value, shape: readonly Dim[], name?: string): Value {
    return this.applyOne('reshape', [x], { shape }, name);
  }

  /** Repeats axes of length 1, and adds axes in front, to reach `shape`; named axes stay as they are. */
  expand(x: Value, shape: readonly Dim[], name?: string): Value {
    return this.applyOne('expand', [x], { shape }, name);
  }

  /** Axis `i` of the result is axis `permutation[i]` of x. */
  transpose(x: Value, permutation: readonly number[], name?: string): Value {
    return this.applyOne('transpose', [x], { permutation }, name);
  }

  /** Adds axes of length 1 where the result has `axes`. */
  unsqueeze(x: Value, axes: readonly number[], name?: string): Value {
    return this.applyOne('unsqueeze', [x], { axes }, name);
  }

  /** Drops `axes`, each of length 1. */
  squeeze(x: Value, axes: readonly number[], name?: string): Value {
    return this.applyOne('squeeze', [x], { axes }, name);
  }

  /** Joins values along an axis. Where a part's length is named, `length` says what the joined axis is called. */
  concat(
    values: readonly Value[],
    axis: number,
    options: { readonly length?: Dim } = {},
    name?: string,
  ): Value {
    return this.applyOne('concat', values, { axis, ...options }, name);
  }

  /**
   * Elements `start` … `end` − 1 of an axis; negative bounds count from the end, bounds beyond the axis are
   * clamped, and an undefined `end` is the axis's end. Where the axis is named, `length` says what the result's
   * is called.
   */
  slice(
    x: Value,
    axis: number,
    start: number,
    end: number | undefined,
    options: { readonly length?: Dim } = {},
    name?: string,
  ): Value {
    const attributes = { axis, start, ...(end !== undefined && { end }), ...options };
    return this.applyOne('slice', [x], attributes, name);
  }

  /** x between zeros along an axis. Where the axis is named, `length` says what the result's is called. */
  pad(
    x: Value,
    axis: number,
    before: number,
    after: number,
    options: { readonly length?: Dim } = {},
    name?: string,
  ): Value {
    return this.applyOne('pad', [x], { axis, before, after, ...options }, name);
  }

  /** The lengths of x's axes when the graph runs, i64 `[axes]`. */
  shapeOf(x: Value, name?: string): Value {
    return this.applyOne('shapeOf', [x], {}, name);
  }

  /** As `expand`, to lengths known when the graph runs; `shape` says what they are called. */
  expandTo(x: Value, lengths: Value, shape: readonly Dim[], name?: string): Value {
    return this.applyOne('expandTo', [x, lengths], { shape }, name);
  }

  /** As `reshape`, to lengths known when the graph runs; `shape` says what they are called. */
  reshapeTo(x: Value, lengths: Value, shape: readonly Dim[], name?: string): Value {
    return this.applyOne('reshapeTo', [x, lengths], { shape }, name);
  }

  /** Consecutive parts of the given sizes along an axis; result `i` is named `name.i`. */
  split(x: Value, axis: number, sizes: readonly number[], name?: string): readonly Value[] {
    return this.apply('split', [x], { axis, sizes }, name);
  }

  /** Sum over `axes`; they keep length 1 unless `keepDims` is false. */
  reduceSum(
    x: Value,
    axes: readonly number[],
    options: { readonly keepDims?: boolean } = {},
    name?: string,
  ): Value {
    return this.applyOne('reduceSum', [x], { axes, keepDims: options.keepDims ?? true }, name);
  }

  /** Mean over `axes`; they keep length 1 unless `keepDims` is false. */
  reduceMean(
    x: Value,
    axes: readonly number[],
    options: { readonly keepDims?: boolean } = {},
    name?: string,
  ): Value {
    return this.applyOne('reduceMean', [x], { axes, keepDims: options.keepDims ?? true }, name);
  }

  /** Maximum over `axes`; they keep length 1 unless `keepDims` is false. */
  reduceMax(
    x: Value,
    axes: readonly number[],
    options: { readonly keepDims?: boolean } = {},
    name?: string,
  ): Value {
    return this.applyOne('reduceMax', [x], { axes, keepDims: options.keepDims ?? true }, name);
  }

  /** exp(x) divided by its sum along `axis`. */
  softmax(x: Value, axis: number, name?: string): Value {
    return this.applyOne('softmax', [x], { axis }, name);
  }

  /** x − log Σ exp(x) along `axis`. */
  logSoftmax(x: Value, axis: number, name?: string): Value {
    return this.applyOne('logSoftmax', [x], { axis }, name);
  }

  /**
   * Rotates each head by its position, halves paired (element i with i + head size / 2, as Llama and Qwen do):
   * x `[batch, position, heads · head size]`, positions i64 `[batch, position]`, cos and sin
   * `[context, head size / 2]`, one row a position. For head sizes that attention cannot rotate itself.
   */
  rotaryEmbedding(
    x: Value,
    positions: Value,
    cos: Value,
    sin: Value,
    options: { readonly heads: number },
    name?: string,
  ): Value {
    return this.applyOne('rotaryEmbedding', [x, positions, cos, sin], options, name);
  }

  /**
   * Causal attention with `heads / kvHeads` query heads on each key head, over a cache:
   * query `[batch, position, heads · head size]` with key and value `[batch, position, kvHeads · head size]`,
   * or all three packed in query; pastKey, pastValue `[batch, kvHeads, capacity, head size]`; seqlens i32
   * `[batch]`, valid positions of each row after this call, less 1; total i32 `[1]`, at most the capacity: of
   * first prompts their padded length (by which the kernel knows them), else the longest row's valid positions;
   * cos and sin `[context, head size / 2]` when `rotary`, else null.
   * → `[out [batch, position, heads · head size], presentKey, presentValue]`.
   *
   * Bind present to the buffers of past: the kernel then writes the new keys in place. It takes either first
   * prompts (nothing cached, rows ragged and right-padded; out is meaningless at padding), or one new position
   * a row; several new positions behind cached ones only for a batch of 1. Rotary needs a head size that is a
   * multiple of 16, else of 8.
   */
  groupQueryAttention(
    query: Value,
    key: Value | null,
    value: Value | null,
    pastKey: Value,
    pastValue: Value,
    seqlens: Value,
    total: Value,
    cos: Value | null,
    sin: Value | null,
    options: AttentionAttributes,
    name?: string,
  ): readonly [Value, Value, Value] {
    const operands = [query, key, value, pastKey, pastValue, seqlens, total];
    if (cos !== null || sin !== null) operands.push(cos, sin);
    const [out, presentKey, presentValue] = this.apply('groupQueryAttention', operands, options, name);
    return [out!, presentKey!, presentValue!];
  }
}
