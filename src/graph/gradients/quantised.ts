/** Gradients of products with block-quantised weights. */

import type { MatMulNBitsAttributes, QuantisedOps } from '../ops/quantised.ts';
import type { Value } from '../types.ts';
import type { BackwardCall, GradientTable } from './rule.ts';
import { nothingOf, refuseGradient, scalar } from './rule.ts';

/**
 * Rules of the quantised products. What reaches x is the gradient of the product with the dequantised weight; that
 * the kernel may round x to 8 bits too is not differentiated.
 */
export const quantisedGradients: GradientTable<QuantisedOps> = {
  matMulNBits: (call) => [
    () => call.g.matMul(call.gradient(), weight(call)),
    undefined,
    () => refuseGradient(call.node, 'scales have none', 'frozen blocks; train an adapter or fp32 weights'),
  ],
  dequantise: ({ node }) =>
    refuseGradient(node, 'scales have none', 'frozen blocks; train an adapter or fp32 weights'),
};

/**
 * The weight `[N, K]`. Its scales are made to depend on the incoming gradient, or the runtime, which runs a node as
 * soon as its inputs exist, would dequantise every weight of the model before the first one is used.
 */
function weight(call: BackwardCall<MatMulNBitsAttributes>): Value {
  const { g, node, attributes } = call;
  const { K, N, bits, blockSize } = attributes;
  if (bits !== 8) refuseGradient(node, `its weight has ${bits} bits`, 'a weight of 8 bits or fp32');
  if (node.inputs.length > 3) refuseGradient(node, 'it has zero points', 'a weight without zero points');
  const blocks = Math.ceil(K / blockSize);
  const flat = call.input(2);
  const nothing = nothingOf(g, call.gradient());
  const scales = g.add(g.reshape(flat, [N, blocks, 1]), nothing);
  const middle = g.add(g.mul(scales, scalar(g, 0, 'f32')), scalar(g, 128, 'f32'));
  const dense = g.dequantise(call.input(1), scales, g.cast(middle, 'u8'), { blockSize }); // [N, blocks, blockSize]
  const padded = g.reshape(dense, [N, blocks * blockSize]);
  return blocks * blockSize === K ? padded : g.slice(padded, 1, 0, K);
}
