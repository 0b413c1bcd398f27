import { batchPlanner, stepsPerEpoch } from './batches.ts';
import { createTrainer } from './create-trainer.ts';
import { type TrainSettings, memoryOf, settleTraining } from './settings.ts';
import { type TrainOptions, overridden } from './train.ts';
import { requireTrainingDevice } from './training-device.ts';

/** What a training would do. */
export interface TrainPlan {
  /** In words, such as `LoRA adapter of rank 16`. */
  readonly trains: string;
  readonly rows: number;
  readonly test_rows: number;
  readonly tokens_per_epoch: number;
  readonly steps_per_epoch: number;
  readonly steps: number;
  /** Of all steps. */
  readonly tokens: number;
  /** Estimated peak. */
  readonly memory_bytes: number;
  /** Estimated from one measured pass. */
  readonly seconds: number;
  readonly output: string;
  readonly notices: readonly string[];
}

/**
 * Reads all that a training needs and measures one pass of it, without training anything or writing a file.
 *
 * @throws as `train`.
 */
export async function planTraining(options: TrainOptions): Promise<TrainPlan> {
  const { signal, onProgress: notify = () => undefined } = options;
  requireTrainingDevice();
  const config = await overridden(options);
  const settings = await settleTraining(config, { signal, notify });
  for (const message of settings.notices) notify({ type: 'notice', message });
  const { rows, test, plan, schedule } = settings;
  const tokens = tokensOf(settings);
  return {
    trains: config.is_peft ? `LoRA adapter of rank ${config.r}` : 'every parameter',
    rows: rows.length,
    test_rows: test?.length ?? 0,
    tokens_per_epoch: rows.tokens,
    steps_per_epoch: stepsPerEpoch(plan),
    steps: schedule.totalSteps,
    tokens,
    memory_bytes: memoryOf(settings).total,
    seconds: tokens * (await secondsPerToken(settings, options)),
    output: config.output_dir,
    notices: settings.notices,
  };
}

function tokensOf({ plan, rows, schedule }: TrainSettings): number {
  const batchOf = batchPlanner(plan);
  const perEpoch = stepsPerEpoch(plan);
  const whole = Math.floor(schedule.totalSteps / perEpoch);
  let tokens = whole * rows.tokens;
  for (let step = whole * perEpoch; step < schedule.totalSteps; step++)
    tokens += batchOf(step)
      .passes.flat()
      .reduce((sum, index) => sum + rows.lengthOf(index), 0);
  return tokens;
}

/** Of the first step's first pass, run twice: the first time pays for setting up. */
async function secondsPerToken(
  { checkpoint, trainerOptions, rows, plan }: TrainSettings,
  { createTrainer: create = createTrainer }: TrainOptions,
): Promise<number> {
  const trainer = await create(checkpoint, trainerOptions);
  try {
    const pass = (batchPlanner(plan)(0).passes[0] ?? []).map((index) => rows.row(index));
    await trainer.accumulate(pass, 1);
    const start = performance.now();
    const { tokens } = await trainer.accumulate(pass, 1);
    return (performance.now() - start) / 1000 / tokens;
  } finally {
    await trainer.close();
  }
}
