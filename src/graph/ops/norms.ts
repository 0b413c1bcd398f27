/** Root-mean-square norms over the last axis. */

import type { TensorType } from '../types.ts';
import type { OpCall, OpDefinition, OpTable } from './definition.ts';
import { operand, reject, requireDtype, requireType } from './definition.ts';

/** Ops of this file with their attributes. */
export type NormOps = { rmsNorm: NormAttributes; addRmsNorm: NormAttributes };

/** Guard against division by 0. */
export type NormAttributes = {
  /** Added to the mean square before the root. */
  readonly epsilon: number;
};

const rmsNorm: OpDefinition<NormAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    requireNorm(call, x, operand(call, 1, 'gain'));
    return [x];
  },
  onnx: (call) => ({
    type: 'SimplifiedLayerNormalization',
    attributes: { epsilon: { float: call.attributes.epsilon }, axis: { int: -1 } },
  }),
};

const addRmsNorm: OpDefinition<NormAttributes> = {
  outputNames: ['normed', 'sum'],
  infer(call) {
    const x = operand(call, 0, 'x');
    if (x.shape.length !== 2 && x.shape.length !== 3) reject(call, 'x with 2 or 3 axes', `${x.shape.length}`);
    requireType(call, operand(call, 1, 'skip'), 'skip', x);
    requireNorm(call, x, operand(call, 2, 'gain'));
    return [x, x];
  },
  onnx: (call) => ({
    type: 'SkipSimplifiedLayerNormalization',
    domain: 'com.microsoft',
    attributes: { epsilon: { float: call.attributes.epsilon } },
    // Slots 1 and 2 are statistics for training kernels.
    outputSlots: [0, 3],
  }),
};

/** Definitions of this file's ops. */
export const normOps: OpTable<NormOps> = { rmsNorm, addRmsNorm };

function requireNorm(call: OpCall<NormAttributes>, x: TensorType, gain: TensorType): void {
  const width = x.shape.at(-1);
  requireDtype(call, x, 'x', ['f32', 'f16']);
  if (width === undefined) return reject(call, 'x with at least 1 axis', 'a scalar');
  requireType(call, gain, 'gain', { dtype: x.dtype, shape: [width] });
  const { epsilon } = call.attributes;
  if (!(epsilon >= 0 && Number.isFinite(epsilon))) reject(call, 'a finite epsilon ≥ 0', String(epsilon));
}
