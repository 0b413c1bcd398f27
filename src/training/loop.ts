import { AbortError, DataError } from '../errors.ts';
import type { CheckpointStore } from '../store/train-checkpoints.ts';
import type { TrainLog } from '../store/train-log.ts';
import type { TrainFinal, TrainStep } from '../store/train-schema.ts';
import type { EffectiveBatch } from './batches.ts';
import type { RowStore } from './row-store.ts';
import { type Schedule, learningRateAt } from './schedule.ts';
import type { MicroBatchResult, Trainer } from './types.ts';

/** What a training loop works with. */
export interface LoopScene {
  readonly trainer: Trainer;
  readonly rows: RowStore;
  /** The batch of a step, counted from 0. */
  readonly batchOf: (step: number) => EffectiveBatch;
  readonly schedule: Schedule;
  /** Steps taken by earlier processes. */
  readonly startStep: number;
  readonly log: TrainLog;
  readonly checkpoints: CheckpointStore;
  /** A checkpoint at least every so many steps, and every so many minutes. */
  readonly saveSteps: number;
  readonly saveMinutes: number;
  /** What is measured beside the loss on the parameters that a step, counted from 0, finds; null after the last step. */
  readonly measure: (step: number | null) => Promise<TrainFinal>;
  readonly signal: AbortSignal | undefined;
  readonly onStep: (step: TrainStep, total: number) => void;
}

/**
 * Takes the steps that are missing, and measures once more at the end.
 *
 * @throws AbortError when stopped, after a checkpoint; DataError naming the rows where loss or gradient are no numbers.
 */
export async function runLoop(scene: LoopScene): Promise<TrainFinal> {
  const saver = checkpointSaver(scene);
  const { totalSteps } = scene.schedule;
  for (let step = scene.startStep; step < totalSteps; step++) {
    const line = await takeStep(scene, step).catch(async (error: unknown) => {
      if (keepsState(error)) await saver.save(step);
      throw error;
    });
    await scene.log.append(line);
    scene.onStep(line, totalSteps);
    if (step + 1 < totalSteps) await saver.saveWhenDue(step + 1);
  }
  const final = await scene.measure(null);
  await saver.save(totalSteps);
  return final;
}

/** Failures after which the parameters are those of the last whole step. */
function keepsState(error: unknown): boolean {
  return error instanceof AbortError || error instanceof DataError;
}

async function takeStep(scene: LoopScene, step: number): Promise<TrainStep> {
  const start = performance.now();
  const { epoch, passes } = scene.batchOf(step);
  stopIfAsked(scene);
  const measured = await scene.measure(step);
  const scale = passes.flat().reduce((sum, index) => sum + scene.rows.weightOf(index), 0);
  const sums = { loss: 0, tokens: 0, penalties: {} as Record<string, number> };
  for (const pass of passes) {
    stopIfAsked(scene);
    const rows = pass.map((index) => scene.rows.row(index));
    const result = await scene.trainer.accumulate(rows, scale);
    refuseBadLoss(
      result,
      rows.map(({ key }) => key),
      step,
    );
    sums.loss += result.loss;
    sums.tokens += result.tokens;
    for (const [name, value] of Object.entries(result.penalties ?? {}))
      sums.penalties[name] = (sums.penalties[name] ?? 0) + value;
  }
  const lr = learningRateAt(scene.schedule, step);
  const { gradNorm } = await scene.trainer.update({ learningRate: lr });
  if (!Number.isFinite(gradNorm)) throw badGradient(scene, passes.flat(), step);
  const penalties = Object.entries(sums.penalties).map(([name, sum]) => [name, sum / scale] as const);
  return {
    step: step + 1,
    epoch,
    loss: sums.loss / scale,
    lr,
    grad_norm: gradNorm,
    tokens: sums.tokens,
    seconds: (performance.now() - start) / 1000,
    ...(penalties.length === 0 ? {} : { penalties: Object.fromEntries(penalties) }),
    ...measured,
  };
}

function stopIfAsked({ signal }: LoopScene): void {
  if (signal?.aborted === true) throw new AbortError('Training was stopped.');
}

function refuseBadLoss(
  { loss, rowLosses, penalties = {} }: MicroBatchResult,
  keys: readonly string[],
  step: number,
): void {
  const bad = keys.filter((_, i) => !Number.isFinite(rowLosses[i]));
  const term = Object.keys(penalties).find((name) => !Number.isFinite(penalties[name]));
  if (bad.length === 0 && term === undefined && Number.isFinite(loss)) return;
  throw diverged(term === undefined ? 'the loss' : `the term "${term}"`, bad.length === 0 ? keys : bad, step);
}

function badGradient({ rows }: LoopScene, indices: readonly number[], step: number): DataError {
  return diverged(
    'the gradient',
    indices.map((index) => rows.row(index).key),
    step,
  );
}

function diverged(what: string, keys: readonly string[], step: number): DataError {
  const shown = keys.slice(0, 8).join('; ');
  const more = keys.length > 8 ? ` and ${keys.length - 8} more` : '';
  return new DataError(
    `Step ${step + 1}: expected ${what} to be a finite number, got none for the rows at ${shown}${more}; the parameters of step ${step} are kept, so look at these rows, or lower "learning_rate" or "max_grad_norm" in a run of its own.`,
    { details: { step: step + 1, rows: keys.join('; ') } },
  );
}

interface CheckpointSaver {
  save(step: number): Promise<void>;
  saveWhenDue(step: number): Promise<void>;
}

function checkpointSaver(scene: LoopScene): CheckpointSaver {
  let saved = { step: scene.startStep, at: performance.now() };
  const save = async (step: number): Promise<void> => {
    if (step === saved.step) return;
    // The log comes first: a checkpoint says that all steps before it are in the log.
    await scene.log.flush();
    const state = scene.trainer.state();
    // Parameters that are no numbers would spoil the good ones that an older checkpoint has.
    if (state.tensors.every(({ data }) => data.every(Number.isFinite)))
      await scene.checkpoints.write({ step, tensors: state.tensors });
    saved = { step, at: performance.now() };
  };
  const saveWhenDue = async (step: number): Promise<void> => {
    const minutes = (performance.now() - saved.at) / 60_000;
    if (step % scene.saveSteps === 0 || minutes >= scene.saveMinutes) await save(step);
  };
  return { save, saveWhenDue };
}
