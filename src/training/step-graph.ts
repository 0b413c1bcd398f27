import { blockScope } from '../engine/block.ts';
import type { InterventionPlan } from '../engine/interventions.ts';
import { WeightValues } from '../engine/weight-values.ts';
import { gradients, type Seed } from '../graph/gradients/gradients.ts';
import { GraphBuilder } from '../graph/graph.ts';
import type { Graph, GraphNode, Value } from '../graph/types.ts';
import type { Projection } from '../model/weights.ts';
import { planEdits, TokenInputs, TrainingForward } from './forward-graph.ts';
import { klOf, logitGradient, type PenaltyPlan, penaltyTerms } from './loss-seeds.ts';
import { tokenLoss } from './token-loss.ts';
import { type Dropout, parameterInputs } from './trainable.ts';
import type { TrainingModel } from './training-model.ts';

/** Names of the inputs and outputs that only this graph has. */
export const stepNames = {
  weights: 'weights',
  tokenWeights: 'token_weights',
  nll: 'nll',
  kl: 'kl',
  penalty: 'penalty',
  dropout: (block: number, projection: Projection): string =>
    `${blockScope(block)}/${dropoutInput(projection)}`,
  gathered: (parameter: string): string => `gathered/${parameter}`,
  next: (parameter: string): string => `next/${parameter}`,
} as const;

/** What a training step computes beside the loss. */
export interface StepPlan {
  readonly interventions: InterventionPlan;
  /** Share of the numbers before a LoRA product that are kept; 1 drops none. */
  readonly keep: number;
  readonly penalty: PenaltyPlan | null;
  /** Weight of the KL term; 0 has none. */
  readonly kl: number;
  /** Compute the inside of each block again in the backward pass instead of keeping it. */
  readonly recompute: boolean;
}

/**
 * Forward and backward pass of a micro-batch. `weights` `[query]` and `token_weights` `[batch, position]` are the
 * tokens' shares of the loss, as predicted and as read. The gradients of Σ weights · nll and of the plan's further
 * terms are added to `gathered/*`, giving `next/*`, which are bound to the same buffers: nothing else reads them. `nll`
 * and `kl` `[query]` are bare, `penalty` `[batch, position]` as it enters the loss.
 */
export function buildStepGraph(model: TrainingModel, plan: StepPlan): Graph {
  const g = new GraphBuilder('training step');
  const tokens = new TokenInputs(g, model.config);
  const pass = trainedPass(g, model, plan, tokens);
  const seeds = lossSeeds(g, model, plan, tokens, pass);
  const parameters = [...pass.inputs];
  const all = gradients(
    g,
    seeds,
    parameters.map(([, value]) => value),
    { recompute: plan.recompute ? pass.blocks : [] },
  );
  for (const [i, [name, value]] of parameters.entries()) {
    const gathered = g.input(stepNames.gathered(name), 'f32', value.type.shape);
    g.output(stepNames.next(name), g.add(gathered, all[i]!));
  }
  return g.build();
}

/** The forward pass that is trained. */
interface TrainedPass {
  /** Parameter name → its input. */
  readonly inputs: ReadonlyMap<string, Value>;
  /** Values of the weights as the untrained model has them. */
  readonly baseValues: WeightValues;
  readonly layers: readonly Value[];
  /** The nodes of each block, without the interventions behind it. */
  readonly blocks: readonly (readonly GraphNode[])[];
  readonly logits: Value;
}

function trainedPass(
  g: GraphBuilder,
  model: TrainingModel,
  plan: StepPlan,
  tokens: TokenInputs,
): TrainedPass {
  const { config, weights, trainable } = model;
  const inputs = parameterInputs(g, trainable.parameters);
  const frozen = model.frozen.inputs(g);
  const parts = trainable.parts(g, inputs, plan.keep === 1 ? null : dropoutInputs(g, plan.keep));
  const values = new WeightValues(g, new Map([...frozen, ...parts.given]));
  const forward = new TrainingForward(g, { config, weights, values }, tokens, parts.adapt);
  const edit = planEdits(g, plan.interventions, config.width);
  const blocks: GraphNode[][] = [];
  let begin = g.nodes.length;
  const layers = forward.layers((layer, hidden) => {
    blocks.push(g.nodes.slice(begin));
    const edited = edit(layer, hidden);
    begin = g.nodes.length;
    return edited;
  });
  // In full training, the untrained weights lie in their files still.
  const baseValues = parts.given.size === 0 ? values : new WeightValues(g, frozen);
  return { inputs, baseValues, layers, blocks, logits: forward.logits(layers.at(-1)!) };
}

function lossSeeds(
  g: GraphBuilder,
  { config, weights }: TrainingModel,
  plan: StepPlan,
  tokens: TokenInputs,
  pass: TrainedPass,
): Seed[] {
  const loss = tokenLoss(g, pass.logits, tokens.targets);
  g.output(stepNames.nll, loss.nll);
  const shares = g.input(stepNames.weights, 'f32', ['query']);
  if (plan.kl === 0 && plan.penalty === null)
    return [{ value: pass.logits, gradient: logitGradient(g, loss, tokens.targets, shares, null) }];
  // The untrained model: no adapter, no interventions.
  const base = new TrainingForward(g, { config, weights, values: pass.baseValues }, tokens);
  const seeds: Seed[] = [];
  let kl: Parameters<typeof logitGradient>[4] = null;
  const last = plan.kl === 0 ? Math.max(...plan.penalty!.layers.map(({ layer }) => layer)) : config.layers;
  const baseLayers = g.scope('base', () => base.layers(undefined, last));
  if (plan.penalty !== null) {
    const shareOfTokens = g.input(stepNames.tokenWeights, 'f32', ['batch', 'position']);
    const penalty = penaltyTerms(g, plan.penalty, pass.layers, baseLayers, shareOfTokens);
    seeds.push(...penalty.seeds);
    g.output(stepNames.penalty, penalty.value);
  }
  if (plan.kl !== 0) {
    const [probs, logProbs] = g.scope('base', () => {
      const logits = base.logits(baseLayers.at(-1)!);
      return [g.softmax(logits, -1), g.logSoftmax(logits, -1)];
    });
    kl = { probs, kl: plan.kl };
    g.output(stepNames.kl, klOf(g, { probs, logProbs }, loss.logProbs));
  }
  return [...seeds, { value: pass.logits, gradient: logitGradient(g, loss, tokens.targets, shares, kl) }];
}

function dropoutInput(projection: Projection): string {
  return `dropout.${projection}`;
}

function dropoutInputs(g: GraphBuilder, keep: number): Dropout {
  return {
    keep,
    // Made inside its block, whose name comes before its own.
    mask: (_, projection, x) => g.cast(g.input(dropoutInput(projection), 'u8', x.type.shape), 'f32'),
  };
}
