/**
 * The contract between the loop (data, schedule, checkpoints, log) and the trainer (graphs, optimiser).
 *
 * The loss of one optimiser step is Σ weight · nll / Σ weight over all rows of all its micro-batches.
 */

import type { Dtype } from '../engine/model.ts';
import type { Intervention, Pooling } from '../engine/types.ts';
import type { Projection } from '../model/weights.ts';

/** One training row. */
export interface TrainingRow {
  /** Stable name: for messages, the log, and the row's own random streams. */
  readonly key: string;
  /** The row's tokens, its template included. */
  readonly ids: readonly number[];
  /** `[ids.length]`: the weight of −log p(ids[i] | ids[< i]) in the loss; `weights[0]` is 0. */
  readonly weights: Float32Array;
  /** Tokens before the response, by which interventions find their positions. */
  readonly promptLength: number;
}

/** What one forward and backward pass gave. */
export interface MicroBatchResult {
  /** Σ weight · nll of the rows, neither scaled nor with penalties. */
  readonly loss: number;
  /** Σ weight of the rows. */
  readonly weight: number;
  /** Tokens of the rows. */
  readonly tokens: number;
  /** Σ weight · nll of each row, by which a bad row is named. */
  readonly rowLosses: Float64Array;
  /** Further terms of the loss as they enter it, such as `penalty` and `kl`, summed like `loss`. */
  readonly penalties?: Readonly<Record<string, number>>;
}

export interface UpdateResult {
  /** Euclidean norm of the whole gradient before clipping; not finite where the step was refused. */
  readonly gradNorm: number;
}

/** Forward only, on the current parameters and without the training's interventions, dropout and penalties. */
export interface EvaluateResult {
  readonly loss: number;
  readonly weight: number;
  readonly rowLosses: Float64Array;
  /** Of each row, `[L+1, width]` of the asked pooling, row l = layer l; empty where none was asked for. */
  readonly pooled: readonly Float32Array[];
}

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Everything that a stopped run needs to go on to the same bits, beside its configuration. */
export interface TrainerState {
  /** Optimiser steps taken. */
  readonly step: number;
  /** Parameters and moments; copies, which later steps do not change. */
  readonly tensors: readonly NamedTensor[];
}

/** A model in training. Calls run one after the other; nothing else changes it. */
export interface Trainer {
  /**
   * Forward and backward pass of one micro-batch: the gradients of loss / `scale` are added to what the step has
   * gathered. `scale` is Σ weight over the whole effective batch, known beforehand.
   *
   * @throws DataError naming the row for a token or a length that the model has not.
   */
  accumulate(rows: readonly TrainingRow[], scale: number): Promise<MicroBatchResult>;
  /**
   * Clips what was gathered to the norm limit and takes one optimiser step. Where the gradient is not finite, nothing
   * is changed but the gathered gradients, which are dropped.
   */
  update(options: { readonly learningRate: number }): Promise<UpdateResult>;
  /** Held-out loss, and pooled residuals for probes. */
  evaluate(rows: readonly TrainingRow[], options?: { readonly pool?: Pooling }): Promise<EvaluateResult>;
  /** Copies of the trained tensors, under the names that their files give them. */
  parameters(): readonly NamedTensor[];
  /** Between two steps only: gathered gradients are no part of it. */
  state(): TrainerState;
  /** @throws StoreError where the state is of another configuration, naming the first difference. */
  restore(state: TrainerState): void;
  /** Writes the adapter folder, or the whole model folder, each file whole or not at all. */
  save(folder: string): Promise<void>;
  close(): Promise<void>;
}

/** LoRA: W + scale · B A beside frozen weights. */
export interface LoraMethod {
  readonly kind: 'lora';
  readonly rank: number;
  readonly alpha: number;
  /** scale = alpha / √rank instead of alpha / rank. */
  readonly rankStabilised?: boolean;
  /** Default 0. */
  readonly dropout?: number;
  /** Default: all seven. */
  readonly targets?: readonly Projection[];
  /** Blocks that are adapted, counted from 0 as PEFT does (`layers_to_transform`); default: all. */
  readonly blocks?: readonly number[];
  /** A folder in PEFT's layout to go on from: same rank, scale, targets and blocks. */
  readonly initAdapter?: string;
}

/** Every weight of the model is trained. */
export interface FullMethod {
  readonly kind: 'full';
  /** Element type of the saved model; default F32. */
  readonly saveDtype?: 'F32' | 'F16' | 'BF16';
}

/** Adam with decoupled weight decay, as PyTorch computes it. */
export interface AdamWOptions {
  readonly kind: 'adamw';
  /** Defaults: 0.9, 0.999, 1e-8 and 0.01. Norm gains and biases are never decayed. */
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
}

/** Stochastic gradient descent, as PyTorch computes it; defaults: no momentum, no decay. */
export interface SgdOptions {
  readonly kind: 'sgd';
  readonly momentum?: number;
  readonly weightDecay?: number;
}

/**
 * A loss term on the squared change of projection: weight · mean over response tokens of
 * Σ over entries of ((h_l − h_l of the untrained model) · v/‖v‖)².
 */
export interface ProjectionPenalty {
  readonly weight: number;
  readonly directions: readonly { readonly layer: number; readonly vector: ArrayLike<number> }[];
}

export interface TrainerOptions {
  readonly method: LoraMethod | FullMethod;
  /** Default AdamW. */
  readonly optimizer?: AdamWOptions | SgdOptions;
  /** Largest norm of a step's gradient; null, the default, clips nothing. */
  readonly maxGradNorm?: number | null;
  /** Of frozen base weights; default `fp32`. Full-parameter training takes `fp32` only. */
  readonly dtype?: Exclude<Dtype, 'int4'>;
  readonly blockSize?: 32 | 128;
  /** Names the random streams of initialisation and dropout; default 0. */
  readonly seed?: number;
  /** Act in every training forward, never in `evaluate`. */
  readonly interventions?: readonly Intervention[];
  readonly penalty?: ProjectionPenalty;
  /** weight · mean over response tokens of KL(untrained model ‖ trained model). */
  readonly kl?: { readonly weight: number };
  /** Lay several short rows on one line where there is room; attention stays within a row. Default true. */
  readonly pack?: boolean;
  /** Compute each block's inside a second time in the backward pass, for less memory. */
  readonly recompute?: boolean;
  readonly threads?: number;
}
