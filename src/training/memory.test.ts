import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyModel } from '../../test/helpers/tiny-models.ts';
import { trainingRow } from '../../test/helpers/training-rows.ts';
import { UsageError } from '../errors.ts';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.ts';
import { estimateTrainingMemory, requireMemory } from './memory.ts';
import type { TrainerOptions } from './types.ts';

let folder = '';
let checkpoint: Checkpoint;
beforeAll(async () => {
  folder = await writeTinyModel();
  checkpoint = await loadCheckpoint(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const ids = Array.from({ length: 100 }, (_, i) => i % 50);
const pass = [trainingRow('a', ids, 10), trainingRow('b', ids.slice(0, 60), 10)];
const lora: TrainerOptions = { method: { kind: 'lora', rank: 4, alpha: 8 } };
const full: TrainerOptions = { method: { kind: 'full' } };

describe('the memory of a training', () => {
  it('counts weights, trained numbers with their moments, and activations', () => {
    // 53·24 embeddings, and three blocks of q, k, v with biases, o, the MLP and two norms, and the last norm.
    const block = 24 * 64 + 64 + 2 * (24 * 32 + 32) + 64 * 24 + 3 * 24 * 40 + 2 * 24;
    const parameters = 53 * 24 + 3 * block + 24;
    expect(estimateTrainingMemory(checkpoint, full, pass)).toMatchObject({
      frozen: 0,
      trained: 20 * parameters,
    });
    const sgd = { ...full, optimizer: { kind: 'sgd' as const } };
    expect(estimateTrainingMemory(checkpoint, sgd, pass).trained).toBe(12 * parameters);
    const adapted = 4 * (2 * (24 + 64) + 2 * (24 + 32) + 3 * (24 + 40));
    expect(estimateTrainingMemory(checkpoint, lora, pass)).toMatchObject({
      frozen: 4 * parameters,
      trained: 20 * 3 * adapted,
    });
  });

  it('grows with the rows, and shrinks with recomputation and 8-bit weights', () => {
    const one = estimateTrainingMemory(checkpoint, lora, pass.slice(0, 1));
    const both = estimateTrainingMemory(checkpoint, lora, pass);
    expect(both.activations).toBeGreaterThan(1.5 * one.activations);
    const again = estimateTrainingMemory(checkpoint, { ...lora, recompute: true }, pass);
    expect(again.activations).toBeLessThan(both.activations);
    expect(estimateTrainingMemory(checkpoint, { ...lora, dtype: 'int8' }, pass).frozen).toBeLessThan(
      both.frozen,
    );
  });

  it('is refused where there is less, saying what makes it smaller', () => {
    const memory = { frozen: 28e9, trained: 1e9, activations: 6.5e9, program: 0.2e9, total: 35.7e9 };
    expect(() => requireMemory(memory, 16e9)).toThrow(UsageError);
    expect(() => requireMemory(memory, 16e9)).toThrow(
      'Expected a training that fits the 16.0 GB of memory there are, got one that takes about 35.7 GB (frozen weights 28.0 GB, trained numbers with moments 1.0 GB, activations 6.5 GB); set "recompute" to true',
    );
    expect(() => requireMemory(memory, 40e9)).not.toThrow();
  });
});
