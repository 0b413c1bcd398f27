import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { isQuantised, prepareWeights } from '../../src/engine/quantised-weights.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { projections } from '../../src/model/weights.ts';
import { createTrainer } from '../../src/training/create-trainer.ts';
import type { NamedTensor } from '../../src/training/types.ts';
import { cosine } from '../../src/util/vectors.ts';
import { editTensors } from '../helpers/edit-checkpoint.ts';
import { tinyShape, writeTinyModel } from '../helpers/tiny-models.ts';
import { gatheredGradients, randomiseParameters, smallLora } from '../helpers/tiny-trainer.ts';
import { randomRows } from '../helpers/training-rows.ts';

const rows = randomRows([19, 11, 7], tinyShape.vocabSize, 'quantised');

/** The same model with its blocks written out as the fp32 numbers that they stand for. */
async function writeDequantised(folder: string): Promise<string> {
  const checkpoint = await loadCheckpoint(folder);
  const weights = await prepareWeights(checkpoint, { bits: 8, blockSize: 32 });
  const numbers = new Map<string, Float32Array>();
  for (const source of [
    weights.head,
    ...weights.blocks.flatMap((block) => projections.map((name) => block.projections[name].weight)),
  ]) {
    if (!isQuantised(source)) throw new TypeError(`expected ${source.name} in blocks`);
    const { shape, blockSize, q, scales } = source;
    const [bytes, floats] = [await readFile(q.file), await readFile(scales.file)];
    const blocks = Math.ceil(shape[1] / blockSize);
    const dense = Float32Array.from({ length: shape[0] * shape[1] }, (_, at) => {
      const [row, column] = [Math.floor(at / shape[1]), at % shape[1]];
      const scale = floats.readFloatLE(scales.offset + 4 * (row * blocks + Math.floor(column / blockSize)));
      return (bytes[q.offset + row * blocks * blockSize + column]! - 128) * scale;
    });
    numbers.set(source.name, dense);
  }
  const copy = `${folder}-dense`;
  await cp(folder, copy, { recursive: true });
  await editTensors(join(copy, 'model.safetensors'), (tensors) =>
    tensors.map((tensor) => ({ ...tensor, data: numbers.get(tensor.name) ?? tensor.data })),
  );
  return copy;
}

async function loraGradients(folder: string, dtype: 'fp32' | 'int8'): Promise<readonly NamedTensor[]> {
  const trainer = await createTrainer(await loadCheckpoint(folder), { method: smallLora, dtype, threads: 1 });
  randomiseParameters(trainer);
  const gradients = await gatheredGradients(trainer, [rows]);
  await trainer.close();
  return gradients;
}

it('LoRA on an int8 base has the gradients of LoRA on the numbers that its blocks stand for', async () => {
  // An own head: a tied one is quantised as a head and plain as an embedding, which fp32 cannot be at once.
  const folder = await writeTinyModel({ shape: { tied: false } });
  const dense = await writeDequantised(folder);
  onTestFinished(async () => {
    for (const path of [folder, dense]) await rm(path, { recursive: true });
  });
  const [quantised, exact] = [await loraGradients(folder, 'int8'), await loraGradients(dense, 'fp32')];
  const losses = exact.map(({ data }, i) => 1 - cosine(quantised[i]!.data, data));
  expect(losses).toHaveLength(14 * tinyShape.layers);
  // The kernel rounds what it multiplies to 8 bits a block, so the gradients agree in direction and not to the bit.
  expect(Math.max(...losses)).toBeLessThan(2e-3);
});
