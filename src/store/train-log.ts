import { StoreError } from '../errors.ts';
import { writeWhole } from './files.ts';
import { jsonLine, openJsonlLog } from './jsonl.ts';
import { type TrainStep, trainStepSchema } from './train-schema.ts';

/** The log of a training run: each step once, in order. */
export interface TrainLog {
  /** The steps up to the one that the run continues after. */
  readonly steps: readonly TrainStep[];
  /** Keeps a step; it is on the disk after the next `flush`, which comes by itself about every second. */
  append(step: TrainStep): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Milliseconds between two writes: waiting for the disk at every step would slow a small model down. */
const flushMs = 1000;

/**
 * Opens the log of a run that continues after step `after`. Steps behind it, which a killed process took and whose
 * parameters are lost, are cut off: they are taken again.
 *
 * @throws StoreError where the steps up to `after` are not all there; DataError for a line that is no step.
 */
export async function openTrainLog(path: string, after: number): Promise<TrainLog> {
  const found = await openJsonlLog(path, trainStepSchema);
  const kept = found.rows.slice(0, after);
  await found.close();
  if (kept.length < after || kept.some(({ step }, i) => step !== i + 1)) throw incomplete(path, after);
  if (found.rows.length > after) await writeWhole(path, kept.map(jsonLine).join(''));
  const log = await openJsonlLog(path, trainStepSchema);
  const steps = [...log.rows];
  let waiting: TrainStep[] = [];
  let written = performance.now();
  const flush = async (): Promise<void> => {
    const rows = waiting;
    waiting = [];
    await log.append(rows);
    written = performance.now();
  };
  return {
    steps,
    append: async (step) => {
      steps.push(step);
      waiting.push(step);
      if (performance.now() - written > flushMs) await flush();
    },
    flush,
    close: () => log.close(),
  };
}

function incomplete(path: string, after: number): StoreError {
  return new StoreError(
    `Expected "${path}" to hold the steps 1 to ${after}, which the checkpoint beside it has behind it; start the run again in a new folder.`,
    { details: { file: path, step: after } },
  );
}
