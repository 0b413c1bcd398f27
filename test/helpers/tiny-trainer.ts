import { rm } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { createTrainer } from '../../src/training/create-trainer.ts';
import type { GraphTrainer } from '../../src/training/trainer.ts';
import type { NamedTensor, TrainerOptions, TrainerState, TrainingRow } from '../../src/training/types.ts';
import { randomVector, type TinyOptions, writeTinyModel } from './tiny-models.ts';
import { totalWeight } from './training-rows.ts';

/** LoRA on everything, of a rank that is no power of two. */
export const smallLora = { kind: 'lora', rank: 3, alpha: 6 } as const;

/** A trainer of a tiny random model, closed and removed when the test ends. */
export async function openTinyTrainer(
  options: TrainerOptions,
  tiny: TinyOptions = {},
): Promise<GraphTrainer> {
  const folder = await writeTinyModel(tiny);
  const trainer = await createTrainer(await loadCheckpoint(folder), { threads: 1, ...options });
  onTestFinished(async () => {
    await trainer.close();
    await rm(folder, { recursive: true });
  });
  return trainer;
}

/** Random numbers for every parameter, so that a LoRA's B takes part. */
export function randomiseParameters(trainer: GraphTrainer, deviation = 0.1): void {
  const state = trainer.state();
  trainer.restore({ ...state, tensors: state.tensors.map((tensor) => randomised(tensor, deviation)) });
}

function randomised(tensor: NamedTensor, deviation: number): NamedTensor {
  if (!tensor.name.startsWith('parameter/')) return tensor;
  const noise = randomVector(tensor.data.length, tensor.name);
  return { ...tensor, data: tensor.data.map((x, i) => x + deviation * noise[i]!) };
}

/** Gradients of the mean loss over all rows, gathered from the given micro-batches; nothing is left gathered. */
export async function gatheredGradients(
  trainer: GraphTrainer,
  batches: readonly (readonly TrainingRow[])[],
): Promise<readonly NamedTensor[]> {
  const scale = totalWeight(batches.flat());
  for (const rows of batches) await trainer.accumulate(rows, scale);
  const gradients = trainer.gradients();
  trainer.restore(trainer.state());
  return gradients;
}

/** The whole loss, further terms included, a weighted token. */
export async function wholeLoss(trainer: GraphTrainer, rows: readonly TrainingRow[]): Promise<number> {
  const { loss, weight, penalties = {} } = await trainer.accumulate(rows, totalWeight(rows));
  return (loss + Object.values(penalties).reduce((sum, x) => sum + x, 0)) / weight;
}

/** A few optimiser steps on the same rows. */
export async function trainSteps(
  trainer: GraphTrainer,
  rows: readonly TrainingRow[],
  steps: number,
  learningRate = 0.01,
): Promise<number[]> {
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const { loss, weight } = await trainer.accumulate(rows, totalWeight(rows));
    losses.push(loss / weight);
    await trainer.update({ learningRate });
  }
  return losses;
}

/** The state with every parameter moved along `direction` (index = tensor) by `step`. */
export function moved(
  state: TrainerState,
  direction: (name: string, size: number) => Float32Array,
  step: number,
): TrainerState {
  const tensors = state.tensors.map((tensor) => {
    if (!tensor.name.startsWith('parameter/')) return tensor;
    const along = direction(tensor.name, tensor.data.length);
    return { ...tensor, data: tensor.data.map((x, i) => x + step * along[i]!) };
  });
  return { ...state, tensors };
}
