import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { createTrainer } from '../../src/training/create-trainer.ts';
import { randomiseParameters, smallLora } from './tiny-trainer.ts';

/** Writes an adapter of a model whose numbers are random. */
export async function writeRandomAdapter(model: string, folder: string, deviation = 0.02): Promise<void> {
  const trainer = await createTrainer(await loadCheckpoint(model), { method: smallLora, threads: 1 });
  try {
    randomiseParameters(trainer, deviation);
    await trainer.save(folder);
  } finally {
    await trainer.close();
  }
}
