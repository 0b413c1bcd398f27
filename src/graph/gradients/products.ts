/** Gradients of matrix products. */

import type { GraphBuilder } from '../graph.ts';
import type { MatMulAttributes, ProductOps } from '../ops/products.ts';
import type { Value } from '../types.ts';
import type { GradientTable } from './rule.ts';
import { joinedAxes, sumTo } from './rule.ts';

/** Rules of the products. No operand is transposed in memory, but in f64, where the runtime has no fused product. */
export const productGradients: GradientTable<ProductOps> = {
  matMul: (call) => {
    const { g, attributes, node } = call;
    const { transposeA = false, transposeB = false, alpha } = attributes;
    const [a, b] = [node.inputs[0]!.type.shape, node.inputs[1]!.type.shape];
    const factor = alpha === undefined ? {} : { alpha };
    return [
      () => {
        const [dy, right] = [call.gradient(), call.input(1)];
        const gradient = transposeA
          ? product(g, right, dy, { transposeA: transposeB, transposeB: true, ...factor })
          : product(g, dy, right, { transposeB: !transposeB, ...factor });
        return sumTo(g, gradient, a);
      },
      () => {
        let [dy, left] = [call.gradient(), call.input(0)];
        // One matrix for a whole batch: one long sum, rather than a matrix a batch row that is summed after.
        if (
          b.length === 2 &&
          !transposeA &&
          left.type.shape.length > 2 &&
          dy.type.shape.length === left.type.shape.length
        )
          [dy, left] = [asMatrix(g, dy), asMatrix(g, left)];
        const gradient = transposeB
          ? product(g, dy, left, { transposeA: true, transposeB: transposeA, ...factor })
          : product(g, left, dy, { transposeA: !transposeA, ...factor });
        return sumTo(g, gradient, b);
      },
    ];
  },
};

/** `[..., n]` as `[rows, n]`. */
function asMatrix(g: GraphBuilder, x: Value): Value {
  const { shape } = x.type;
  return g.reshape(x, [joinedAxes(shape.slice(0, -1)), shape.at(-1)!]);
}

function product(g: GraphBuilder, a: Value, b: Value, options: MatMulAttributes): Value {
  if (a.type.dtype !== 'f64') return g.matMul(a, b, options);
  return g.matMul(
    options.transposeA === true ? swapped(g, a) : a,
    options.transposeB === true ? swapped(g, b) : b,
  );
}

function swapped(g: GraphBuilder, x: Value): Value {
  const axes = x.type.shape.map((_, axis) => axis);
  return g.transpose(x, [...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
}
