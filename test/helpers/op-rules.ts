import type { Attributes, DataType, Dim, OpName, TensorType } from '../../src/graph/index.ts';
import { formatType, operations } from '../../src/graph/index.ts';

/**
 * Result types of an op by its type rule alone, in text: `infer('add', ['f32[a, 2]', 'f32[1]'])` is
 * `f32[a, 2]`. Inputs are called %0 a, %1 b, … in messages; null is an absent one.
 */
export function infer(op: OpName, inputs: readonly (string | null)[], attributes: Attributes = {}): string {
  const values = inputs.map((text, id) =>
    text === null ? null : { id, name: String.fromCodePoint(97 + id), type: parseType(text) },
  );
  return operations[op]
    .infer({ op, inputs: values, attributes })
    .map((type) => formatType(type))
    .join(' ');
}

/** Reads `f32[batch, 4]`. */
function parseType(text: string): TensorType {
  const [, dtype, axes] = /^(\w+)\[(.*)\]$/.exec(text) ?? [];
  if (dtype === undefined || axes === undefined) throw new Error(`not a tensor type: ${text}`);
  const shape =
    axes === '' ? [] : axes.split(', ').map((dim): Dim => (/^\d+$/.test(dim) ? Number(dim) : dim));
  return { dtype: dtype as DataType, shape };
}
