import type {
  EvaluateResult,
  MicroBatchResult,
  NamedTensor,
  Trainer,
  TrainerState,
  TrainingRow,
} from '../../src/training/types.ts';
import { writeSafetensors } from '../../src/model/safetensors-writer.ts';
import { join } from 'node:path';

/**
 * A trainer of the smallest language model: logits of the next token are a row of a table by the token before it. Loss,
 * gradient and Adam are exact, in Float64; everything that a step depends on is in its state.
 */
export function fakeTrainer(
  vocabulary: number,
  { layers = 2, width = 4 }: { layers?: number; width?: number } = {},
): Trainer {
  const size = vocabulary * vocabulary;
  const table = Float32Array.from({ length: size }, (_, i) => Math.sin(i) / 10);
  const [first, second] = [new Float32Array(size), new Float32Array(size)];
  let gathered = new Float64Array(size);
  let step = 0;
  const tensors = (): NamedTensor[] =>
    [['table', table] as const, ['first', first] as const, ['second', second] as const].map(
      ([name, data]) => ({ name, shape: [vocabulary, vocabulary], data: data.slice() }),
    );
  return {
    async accumulate(rows: readonly TrainingRow[], scale: number): Promise<MicroBatchResult> {
      const gradient = (i: number, value: number): void => {
        gathered[i] = gathered[i]! + value / scale;
      };
      return sum(
        rows,
        rows.map((row) => rowLoss(table, vocabulary, row, gradient)),
      );
    },
    async update({ learningRate }) {
      const gradNorm = Math.sqrt(gathered.reduce((total, g) => total + g * g, 0));
      if (Number.isFinite(gradNorm)) {
        step++;
        for (let i = 0; i < size; i++) {
          const g = gathered[i]!;
          first[i] = 0.9 * first[i]! + 0.1 * g;
          second[i] = 0.99 * second[i]! + 0.01 * g * g;
          const [m, v] = [first[i]! / (1 - 0.9 ** step), second[i]! / (1 - 0.99 ** step)];
          table[i] = table[i]! - (learningRate * m) / (Math.sqrt(v) + 1e-8);
        }
      }
      gathered = new Float64Array(size);
      return { gradNorm };
    },
    async evaluate(rows, options): Promise<EvaluateResult> {
      const losses = rows.map((row) => rowLoss(table, vocabulary, row, () => undefined));
      const { loss, weight, rowLosses } = sum(rows, losses);
      const state = Float32Array.from({ length: (layers + 1) * width }, (_, i) => table[i % size]! + i);
      return { loss, weight, rowLosses, pooled: options?.pool === undefined ? [] : rows.map(() => state) };
    },
    parameters: () => tensors().slice(0, 1),
    state: (): TrainerState => ({ step, tensors: tensors() }),
    restore(state) {
      step = state.step;
      [table, first, second].forEach((target, i) => target.set(state.tensors[i]!.data));
    },
    save: (folder) => writeSafetensors(join(folder, 'model.safetensors'), tensors().slice(0, 1)),
    close: async () => undefined,
  };
}

function sum(rows: readonly TrainingRow[], losses: readonly number[]): MicroBatchResult {
  return {
    loss: losses.reduce((a, b) => a + b, 0),
    weight: rows.reduce((total, row) => total + row.weights.reduce((a, b) => a + b, 0), 0),
    tokens: rows.reduce((total, row) => total + row.ids.length, 0),
    rowLosses: Float64Array.from(losses),
  };
}

/** Σ weight · −log p over a row; `gradient` is told d loss / d table. */
function rowLoss(
  table: Float32Array,
  vocabulary: number,
  { ids, weights }: TrainingRow,
  gradient: (index: number, value: number) => void,
): number {
  let loss = 0;
  for (let i = 1; i < ids.length; i++) {
    const weight = weights[i]!;
    if (weight === 0) continue;
    const start = ids[i - 1]! * vocabulary;
    const exps = Array.from({ length: vocabulary }, (_, k) => Math.exp(table[start + k]!));
    const total = exps.reduce((a, b) => a + b, 0);
    loss -= weight * Math.log(exps[ids[i]!]! / total);
    exps.forEach((value, k) => gradient(start + k, weight * (value / total - (k === ids[i] ? 1 : 0))));
  }
  return loss;
}
