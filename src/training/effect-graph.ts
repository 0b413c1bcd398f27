import type { InterventionPlan } from '../engine/interventions.ts';
import { WeightValues } from '../engine/weight-values.ts';
import { gradients } from '../graph/gradients/gradients.ts';
import { GraphBuilder } from '../graph/graph.ts';
import type { Graph } from '../graph/types.ts';
import { planEdits, TokenInputs, TrainingForward } from './forward-graph.ts';
import { logitGradient } from './loss-seeds.ts';
import { tokenLoss } from './token-loss.ts';
import { parameterInputs } from './trainable.ts';
import type { TrainingModel } from './training-model.ts';

/** Names of the inputs and outputs that only this graph has. */
export const effectNames = {
  weights: 'weights',
  nll: 'nll',
  hidden: (layer: number): string => `hidden/${layer}`,
  gradient: (layer: number): string => `gradient/${layer}`,
} as const;

/**
 * A training forward with its interventions, and what flows back to every layer: `nll` `[query]`, and for each layer
 * from 1 `hidden/*` and `gradient/*` `[batch, position, width]`, the residual stream after the layer's edits and the gradient of
 * Σ weights · nll with respect to it.
 */
export function buildEffectGraph(model: TrainingModel, plan: InterventionPlan): Graph {
  const { config, weights, trainable, frozen } = model;
  const g = new GraphBuilder('effect');
  const tokens = new TokenInputs(g, config);
  const parts = trainable.parts(g, parameterInputs(g, trainable.parameters), null);
  const values = new WeightValues(g, new Map([...frozen.inputs(g), ...parts.given]));
  const forward = new TrainingForward(g, { config, weights, values }, tokens, parts.adapt);
  const layers = forward.layers(planEdits(g, plan, config.width)).slice(1);
  const logits = forward.logits(layers.at(-1)!);
  const loss = tokenLoss(g, logits, tokens.targets);
  g.output(effectNames.nll, loss.nll);
  const shares = g.input(effectNames.weights, 'f32', ['query']);
  const seed = { value: logits, gradient: logitGradient(g, loss, tokens.targets, shares, null) };
  const all = gradients(g, [seed], layers);
  layers.forEach((hidden, i) => {
    g.output(effectNames.hidden(i + 1), hidden);
    g.output(effectNames.gradient(i + 1), all[i]!);
  });
  return g.build();
}
