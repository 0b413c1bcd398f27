/** Rotary position embedding, and causal attention over a key-value cache. */

import type { Dim, TensorType } from '../types.ts';
import { formatShape } from '../types.ts';
import type { OnnxAttribute, OpCall, OpDefinition, OpTable } from './definition.ts';
import { operand, optionalOperand, reject, requireDtype, requireRank, requireType } from './definition.ts';

/** Ops of this file with their attributes. */
export type AttentionOps = { rotaryEmbedding: RotaryAttributes; groupQueryAttention: AttentionAttributes };

/** How the last axis splits into heads. */
export type RotaryAttributes = {
  /** Number of heads in the last axis of x. */
  readonly heads: number;
};

/** Heads, and what changes their scores. */
export type AttentionAttributes = {
  /** Query heads; a multiple of `kvHeads`. */
  readonly heads: number;
  readonly kvHeads: number;
  /** Rotate queries and keys inside, with the cos and sin inputs; position = place in the row. */
  readonly rotary: boolean;
  /**
   * Positions that a token sees, itself included; default: all up to itself. Hugging Face's `sliding_window` and
   * the kernel's `local_window_size` count the same way, as the tests show for prompts and single steps.
   */
  readonly window?: number;
  /** Factor on the scores; default 1 / √head size. */
  readonly scale?: number;
  /** Scores become softcap · tanh(score / softcap). */
  readonly softcap?: number;
};

const rotaryEmbedding: OpDefinition<RotaryAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    requireDtype(call, x, 'x', ['f32', 'f16']);
    requireRank(call, x, 'x [batch, position, heads × head size]', 3);
    const headSize = headSizeOf(call, x, call.attributes.heads);
    if (headSize % 2 !== 0) reject(call, 'an even head size', String(headSize));
    requireType(call, operand(call, 1, 'positions'), 'positions', {
      dtype: 'i64',
      shape: x.shape.slice(0, 2),
    });
    requireRotaryTable(call, 2, x, headSize);
    return [x];
  },
  onnx: (call) => ({
    type: 'RotaryEmbedding',
    domain: 'com.microsoft',
    attributes: { num_heads: { int: call.attributes.heads }, interleaved: { int: 0 } },
  }),
};

const groupQueryAttention: OpDefinition<AttentionAttributes> = {
  outputNames: ['out', 'presentKey', 'presentValue'],
  infer(call) {
    const { heads, kvHeads, rotary } = call.attributes;
    requireAttributes(call);
    const query = operand(call, 0, 'query');
    requireDtype(call, query, 'query', ['f32', 'f16']);
    requireRank(call, query, 'query [batch, position, width]', 3);
    const headSize = requireQueryKeyValue(call, query);
    // The CPU kernels read heads in blocks of 8 numbers, the rotary ones in blocks of 16.
    const multiple = rotary ? 16 : 8;
    if (headSize % multiple !== 0) {
      reject(
        call,
        `a head size that is a multiple of ${multiple}${rotary ? ' (rotate outside)' : ''}`,
        String(headSize),
      );
    }
    const [batch, position] = query.shape;
    const past = operand(call, 3, 'pastKey');
    requireRank(call, past, 'pastKey [batch, kvHeads, capacity, head size]', 4);
    const cache: TensorType = { dtype: query.dtype, shape: [batch!, kvHeads, past.shape[2]!, headSize] };
    requireType(call, past, 'pastKey', cache);
    requireType(call, operand(call, 4, 'pastValue'), 'pastValue', cache);
    requireType(call, operand(call, 5, 'seqlens'), 'seqlens', { dtype: 'i32', shape: [batch!] });
    requireType(call, operand(call, 6, 'total'), 'total', { dtype: 'i32', shape: [1] });
    if (rotary) requireRotaryTable(call, 7, query, headSize);
    else if (call.inputs.length > 7) reject(call, 'cos and sin only with rotary', 'them without');
    return [{ dtype: query.dtype, shape: [batch!, position!, heads * headSize] }, cache, cache];
  },
  onnx(call) {
    const { heads, kvHeads, rotary, window, scale, softcap } = call.attributes;
    const attributes: Record<string, OnnxAttribute> = {
      num_heads: { int: heads },
      kv_num_heads: { int: kvHeads },
      do_rotary: { int: rotary ? 1 : 0 },
    };
    if (window !== undefined) attributes['local_window_size'] = { int: window };
    if (scale !== undefined) attributes['scale'] = { float: scale };
    if (softcap !== undefined) attributes['softcap'] = { float: softcap };
    return { type: 'GroupQueryAttention', domain: 'com.microsoft', attributes };
  },
};

/** Definitions of this file's ops. */
export const attentionOps: OpTable<AttentionOps> = { rotaryEmbedding, groupQueryAttention };

function requireAttributes(call: OpCall<AttentionAttributes>): void {
  const { heads, kvHeads, window, softcap, scale } = call.attributes;
  if (
    !(
      Number.isInteger(kvHeads) &&
      kvHeads > 0 &&
      Number.isInteger(heads) &&
      heads > 0 &&
      heads % kvHeads === 0
    )
  ) {
    reject(call, 'heads as a positive multiple of kvHeads', `${heads} and ${kvHeads}`);
  }
  if (window !== undefined && !(Number.isInteger(window) && window > 0)) {
    reject(call, 'a window of at least 1 position', String(window));
  }
  // The kernel reads 0 as "absent" in both.
  if (softcap !== undefined && !(softcap > 0)) reject(call, 'a softcap > 0', String(softcap));
  if (scale !== undefined && !(scale > 0)) reject(call, 'a scale > 0', String(scale));
}

/** Checks query, key and value, packed or apart; returns the head size. */
function requireQueryKeyValue(call: OpCall<AttentionAttributes>, query: TensorType): number {
  const { heads, kvHeads } = call.attributes;
  const key = optionalOperand(call, 1);
  const value = optionalOperand(call, 2);
  if (key === undefined && value === undefined) return headSizeOf(call, query, heads + 2 * kvHeads);
  const headSize = headSizeOf(call, query, heads);
  const expected: TensorType = { dtype: query.dtype, shape: query.shape.with(2, kvHeads * headSize) };
  requireType(call, operand(call, 1, 'key'), 'key', expected);
  requireType(call, operand(call, 2, 'value'), 'value', expected);
  return headSize;
}

function headSizeOf(
  call: OpCall<AttentionAttributes | RotaryAttributes>,
  x: TensorType,
  heads: number,
): number {
  const width: Dim = x.shape.at(-1)!;
  if (typeof width === 'string' || width === 0 || width % heads !== 0) {
    return reject(call, `a last axis that is a multiple of ${heads} heads`, formatShape(x.shape));
  }
  return width / heads;
}

/** Checks cos and sin, `[context, head size / 2]` each, at inputs `first` and `first + 1`. */
function requireRotaryTable(
  call: OpCall<AttentionAttributes | RotaryAttributes>,
  first: number,
  x: TensorType,
  headSize: number,
): void {
  const cos = operand(call, first, 'cos');
  requireRank(call, cos, 'cos [context, head size / 2]', 2);
  const expected: TensorType = { dtype: x.dtype, shape: [cos.shape[0]!, headSize / 2] };
  requireType(call, cos, 'cos', expected);
  requireType(call, operand(call, first + 1, 'sin'), 'sin', expected);
}
