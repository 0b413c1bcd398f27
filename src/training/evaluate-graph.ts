import { WeightValues } from '../engine/weight-values.ts';
import { GraphBuilder } from '../graph/graph.ts';
import type { Graph } from '../graph/types.ts';
import { flatten, TokenInputs, TrainingForward } from './forward-graph.ts';
import type { TrainingModel } from './training-model.ts';
import { tokenLoss } from './token-loss.ts';
import { parameterInputs } from './trainable.ts';

/** Names of the inputs and outputs that only this graph has. */
export const evaluateNames = { pool: 'pool', nll: 'nll', pooled: 'pooled' } as const;

/**
 * Forward only, without interventions: `nll` `[query]`, and `pooled` `[row, layer, width]` by the weights `pool`
 * `[row, batch * position]`.
 */
export function buildEvaluateGraph({ config, weights, trainable, frozen }: TrainingModel): Graph {
  const g = new GraphBuilder('evaluate');
  const tokens = new TokenInputs(g, config);
  const parts = trainable.parts(g, parameterInputs(g, trainable.parameters), null);
  const values = new WeightValues(g, new Map([...frozen.inputs(g), ...parts.given]));
  const forward = new TrainingForward(g, { config, weights, values }, tokens, parts.adapt);
  const layers = forward.layers();
  const { nll } = tokenLoss(g, forward.logits(layers.at(-1)!), tokens.targets);
  const pool = g.input(evaluateNames.pool, 'f32', ['row', 'batch*position']);
  const pooled = layers.map((layer) => g.unsqueeze(g.matMul(pool, flatten(g, layer)), [1]));
  g.output(evaluateNames.nll, nll);
  g.output(evaluateNames.pooled, g.concat(pooled, 1));
  return g.build();
}
