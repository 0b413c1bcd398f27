/**
 * Run by the benchmark in a process of its own: `train-memory.ts FOLDER SETTINGS METHOD` loads a model to train,
 * takes two steps and prints nothing; who started it watches its memory.
 */

import { loadCheckpoint } from '../src/model/checkpoint.ts';
import { createTrainer } from '../src/training/create-trainer.ts';
import type { Settings } from './products.ts';
import { type TrainMethod, trainerOptions, trainStep } from './train.ts';

const [folder, settings, method] = process.argv.slice(2) as [string, string, TrainMethod];
const checkpoint = await loadCheckpoint(folder);
const trainer = await createTrainer(checkpoint, trainerOptions(method, JSON.parse(settings) as Settings));
for (let step = 0; step < 2; step++) await trainStep(trainer, checkpoint);
await trainer.close();
