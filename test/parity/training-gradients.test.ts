import { describe, expect, it } from 'vitest';
import type { NamedTensor, TrainerOptions } from '../../src/training/types.ts';
import { relativeError } from '../helpers/numbers.ts';
import { randomVector, tinyShape } from '../helpers/tiny-models.ts';
import {
  gatheredGradients,
  moved,
  openTinyTrainer,
  randomiseParameters,
  smallLora,
  wholeLoss,
} from '../helpers/tiny-trainer.ts';
import { randomRows } from '../helpers/training-rows.ts';

const { vocabSize, width } = tinyShape;
const rows = randomRows([21, 9, 14, 6, 5], vocabSize, 'gradients');
const vector = (name: string): Float32Array => randomVector(width, name);

/** Kinds of training whose gradients take different ways. */
const trainings: Readonly<Record<string, TrainerOptions>> = {
  LoRA: { method: smallLora },
  'full parameters': { method: { kind: 'full' } },
  'LoRA with steering, ablation and clamps': {
    method: smallLora,
    interventions: [
      { layer: 1, vector: vector('a'), coef: 0.5 },
      { layer: 2, vector: vector('b'), ablate: true },
      { layer: 2, vector: vector('c'), ablate: true, positions: 'response' },
      { layer: 3, vector: vector('d'), max: 0.1, positions: 'prompt' },
    ],
  },
  'LoRA with a projection penalty': {
    method: smallLora,
    penalty: {
      weight: 0.7,
      directions: [
        { layer: 1, vector: vector('a') },
        { layer: 2, vector: vector('b') },
        { layer: 2, vector: vector('c') },
      ],
    },
  },
  'LoRA with KL to the base model': { method: smallLora, kl: { weight: 0.6 } },
  'full parameters with penalty and KL': {
    method: { kind: 'full' },
    penalty: { weight: 0.3, directions: [{ layer: 3, vector: vector('a') }] },
    kl: { weight: 0.4 },
  },
};

describe('gradients of a training step', () => {
  it.each(Object.entries(trainings))('%s: are the slope of the whole loss', async (_, options) => {
    for (const family of ['qwen2', 'qwen3', 'gemma2', 'gemma3_text', 'phi3', 'olmo2'] as const) {
      const tied = family === 'qwen2' || family.startsWith('gemma');
      const trainer = await openTinyTrainer(options, { shape: { family, tied, slidingWindow: 5 } });
      randomiseParameters(trainer);
      const state = trainer.state();
      const gradients = await gatheredGradients(trainer, [rows]);
      // Along the gradient the slope is steepest, so that rounding matters least; noise makes every tensor count.
      const along = (name: string, size: number): Float32Array => {
        const { data } = gradients.find((tensor) => `parameter/${tensor.name}` === name)!;
        const noise = randomVector(size, name);
        const norm = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / size);
        return data.map((x, i) => x + norm * noise[i]!);
      };
      const slope = gradients.reduce((sum, { name, data }) => {
        const direction = along(`parameter/${name}`, data.length);
        return sum + data.reduce((part, x, i) => part + x * direction[i]!, 0);
      }, 0);
      const difference = async (step: number): Promise<number> => {
        const losses: number[] = [];
        for (const at of [step, -step]) {
          trainer.restore(moved(state, along, at));
          losses.push(await wholeLoss(trainer, rows));
        }
        return (losses[0]! - losses[1]!) / (2 * step);
      };
      // Two steps, extrapolated: the error falls with the fourth power, so steps can be long and rounding small. At twice this
      // length gemma3's curvature shows (1e-3), at half of it rounding does.
      const step = 0.005 / Math.sqrt(slope);
      const measured = (4 * (await difference(step / 2)) - (await difference(step))) / 3;
      expect(Math.abs(measured / slope - 1)).toBeLessThan(5e-4);
    }
  });

  it('of B are scale · dW Aᵀ with dW of full training, projection by projection', async () => {
    const shape = { tied: false };
    const [lora, full] = await Promise.all([
      openTinyTrainer({ method: smallLora }, { shape }),
      openTinyTrainer({ method: { kind: 'full' } }, { shape }),
    ]);
    const weights = byName(await gatheredGradients(full, [rows]));
    const pairs = byName(await gatheredGradients(lora, [rows]));
    const parameters = byName(lora.parameters());
    let compared = 0;
    for (const [name, { shape, data }] of pairs) {
      if (!name.includes('lora_B')) continue;
      const [out, rank] = shape as readonly [number, number];
      const a = parameters.get(name.replace('lora_B', 'lora_A'))!;
      const input = a.shape[1]!;
      const module = name.replace('base_model.model.', '').replace('.lora_B', '');
      const dW = weights.get(module)!.data;
      const expected = Float32Array.from({ length: out * rank }, (_, at) => {
        const [o, r] = [Math.floor(at / rank), at % rank];
        let sum = 0;
        for (let i = 0; i < input; i++) sum += dW[o * input + i]! * a.data[r * input + i]!;
        return (6 / 3) * sum;
      });
      expect(relativeError(data, expected)).toBeLessThan(1e-4);
      compared++;
    }
    expect(compared).toBe(7 * tinyShape.layers);
  });

  it.each(Object.entries(trainings))('%s: are sums over rows, whatever shares a pass', async (_, options) => {
    const trainer = await openTinyTrainer(options);
    randomiseParameters(trainer);
    const together = await gatheredGradients(trainer, [rows]);
    const apart = await gatheredGradients(
      trainer,
      rows.map((row) => [row]),
    );
    expect(farApart(together, apart)).toEqual([]);
  });

  it('are the same packed on few lines and on a line each', async () => {
    const method = smallLora;
    const [packed, unpacked] = await Promise.all([
      openTinyTrainer({ method }),
      openTinyTrainer({ method, pack: false }),
    ]);
    for (const trainer of [packed, unpacked]) randomiseParameters(trainer);
    const [first, second] = [
      await gatheredGradients(packed, [rows]),
      await gatheredGradients(unpacked, [rows]),
    ];
    expect(farApart(first, second)).toEqual([]);
  });

  it('see no further than the window', async () => {
    const shape = { family: 'mistral', slidingWindow: 4 } as const;
    const trainer = await openTinyTrainer({ method: smallLora }, { shape });
    randomiseParameters(trainer);
    const together = await gatheredGradients(trainer, [rows]);
    const apart = await gatheredGradients(
      trainer,
      rows.map((row) => [row]),
    );
    expect(farApart(together, apart)).toEqual([]);
  });
});

function byName(tensors: readonly NamedTensor[]): Map<string, NamedTensor> {
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

/** Tensors that differ by more than rounding, of each one's largest number. */
function farApart(actual: readonly NamedTensor[], expected: readonly NamedTensor[]): string[] {
  return expected
    .filter(({ data }, i) => !(relativeError(actual[i]!.data, data) < 2e-5))
    .map(({ name }) => name);
}
