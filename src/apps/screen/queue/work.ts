import { UnrecoverableError, Worker } from 'bullmq';
import { loadFromCheckpoint, precisionOf } from '../../../engine/load.ts';
import type { LanguageModel } from '../../../engine/model.ts';
import { DataError, UsageError } from '../../../errors.ts';
import { type Checkpoint, loadCheckpoint, requireOneModel } from '../../../model/checkpoint.ts';
import { checkpointFingerprint } from '../../../model/fingerprint.ts';
import type { Direction } from '../../../persona/projection/watch.ts';
import { OwnReplies } from '../own-replies.ts';
import { partScorer } from '../part-scorer.ts';
import { type PartJob, packResult, parsePartJob } from './part-job.ts';
import { checkRedis, parseRedisAddress, queueName } from './redis-address.ts';

export interface WorkOptions {
  /** Address of the server. */
  readonly queue: string;
  /** The models that this worker has; it takes parts for no others, and loads no other file. */
  readonly models: readonly string[];
  /** Folder of a LoRA adapter that the model is run with, of which there is one then: parts for the model without it are others'. */
  readonly adapter?: string | undefined;
  /** Seconds of silence after which a worker counts as dead and its part goes to another; default 30. */
  readonly takeBack?: number | undefined;
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly onReady?: (() => void) | undefined;
  readonly onPart?: ((part: FinishedWork) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface FinishedWork {
  readonly model: string;
  readonly run: string;
  readonly part: number;
  readonly samples: number;
}

/**
 * Scores parts of data sets that `screen` put on a queue, until stopped. What it is sent is checked against a schema and
 * names no file.
 *
 * @throws UsageError where the server or a model is not to be found.
 */
export async function work(
  options: WorkOptions,
): Promise<{ readonly parts: number; readonly samples: number }> {
  const address = parseRedisAddress(options.queue);
  requireOneModel(options.models, options.adapter);
  const desks = await Promise.all(options.models.map((model) => openDesk(model, options)));
  await checkRedis(address);
  const done = { parts: 0, samples: 0 };
  const lock = (options.takeBack ?? 30) * 1000;
  const workers = desks.map((desk) => {
    const worker = new Worker(
      queueName(desk.fingerprint),
      async ({ data }: { data: unknown }) => {
        const { packed, finished } = await desk.take(data);
        done.parts++;
        done.samples += finished.samples;
        options.onPart?.(finished);
        return packed;
      },
      // A part is scored while the lock is renewed beside it; parts of silent workers are looked for twice a lock.
      {
        connection: { ...address },
        concurrency: 1,
        lockDuration: lock,
        stalledInterval: lock / 2,
        maxStalledCount: 20,
      },
    );
    worker.on('error', (error) => options.onNotice?.(`the queue: ${error.message}`));
    worker.on('failed', (_, error) => options.onNotice?.(`a part failed: ${error.message}`));
    return worker;
  });
  try {
    await Promise.all(workers.map((worker) => worker.waitUntilReady()));
    options.onReady?.();
    await stopOf(options.signal);
  } finally {
    // What is in work is given up at once: it is begun again by another worker.
    await Promise.all(workers.map((worker) => worker.close(true)));
    await Promise.all(desks.map((desk) => desk.close()));
  }
  return done;
}

function stopOf(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** One model's parts, one after the other. */
interface Desk {
  readonly fingerprint: string;
  take(data: unknown): Promise<{ readonly packed: string; readonly finished: FinishedWork }>;
  close(): Promise<void>;
}

async function openDesk(name: string, { adapter, onNotice, signal }: WorkOptions): Promise<Desk> {
  const checkpoint = await loadCheckpoint(name, adapter);
  const fingerprint = await checkpointFingerprint(checkpoint);
  let held: { readonly precision: string; readonly model: LanguageModel } | null = null;
  // Loaded for the first part, and again where one wants another precision.
  const modelFor = async ({ dtype, block_size: blockSize }: PartJob): Promise<LanguageModel> => {
    const precision = precisionOf({ dtype, blockSize });
    if (held?.precision === precision) return held.model;
    await held?.model.close();
    held = null;
    const notices = onNotice === undefined ? {} : { onNotice };
    // In a thread of its own, so that this one can say that it is alive while a step runs.
    const model = await loadFromCheckpoint(checkpoint, { dtype, blockSize, worker: true, ...notices });
    held = { precision, model };
    return model;
  };
  return {
    fingerprint,
    take: async (data) => {
      const job = checkedJob(data, fingerprint, checkpoint);
      const model = await modelFor(job);
      const { counts, rows } = await scoreJob(job, model, signal);
      const finished = { model: checkpoint.id, run: job.run, part: job.part, samples: counts.samples };
      return { packed: packResult({ counts, rows }), finished };
    },
    close: async () => held?.model.close(),
  };
}

/** A job that can be done here; one that cannot is not tried again. */
function checkedJob(data: unknown, fingerprint: string, { config }: Checkpoint): PartJob {
  try {
    const job = parsePartJob(data);
    if (job.fingerprint !== fingerprint)
      throw new UsageError('Expected a part for the model of this queue, got one for another.');
    const wrong = job.vectors.find(
      ({ layer, values }) =>
        layer > config.layers || Buffer.from(values, 'base64').length !== 4 * config.width,
    );
    if (wrong !== undefined)
      throw new DataError(
        `Expected vectors of width ${config.width} at layers 1 to ${config.layers}, got "${wrong.name}" at layer ${wrong.layer}.`,
      );
    return job;
  } catch (error) {
    throw new UnrecoverableError(error instanceof Error ? error.message : String(error));
  }
}

async function scoreJob(
  job: PartJob,
  model: LanguageModel,
  signal: AbortSignal | undefined,
): ReturnType<ReturnType<typeof partScorer>> {
  const { checkpoint } = model;
  const watched = job.vectors.map(({ name, layer, values }): Direction => {
    const vector = new Float32Array(Uint8Array.from(Buffer.from(values, 'base64')).buffer);
    return { name, layer, vector };
  });
  const own =
    job.mode === 'full' ? await OwnReplies.open(model, job.fingerprint, watched, job.max_tokens) : null;
  try {
    const limits = { maxPromptTokens: job.max_prompt_tokens, context: checkpoint.config.maxPositions };
    const score = partScorer(checkpoint, limits, { model, watched, own });
    return await score({ index: job.part, rows: job.rows, items: job.samples }, job.mode, signal);
  } finally {
    await own?.close();
  }
}
