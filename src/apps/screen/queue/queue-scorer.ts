import type { Job, Queue, QueueEvents } from 'bullmq';
import { AbortError, DataError } from '../../../errors.ts';
import { sha256 } from '../../../util/hash.ts';
import type { ScorePart } from '../part-scorer.ts';
import type { Sample } from '../samples.ts';
import { type PartJob, unpackResult } from './part-job.ts';
import { type RedisAddress, checkRedis, queueName } from './redis-address.ts';

/** What of a job is the same for all parts. */
export type SharedJob = Omit<PartJob, 'mode' | 'part' | 'rows' | 'samples'>;

/** Parts that wait or are in work at once: enough for many workers, few enough for a small server's memory. */
export const partsAhead = 32;
/** How often a part may be begun; one that kills every worker must end some time. */
const attempts = 20;
/** The server keeps so many of the last events, in each of which a result stands. */
const keptEvents = 4 * partsAhead;

/** Scores parts by workers elsewhere. */
export interface QueueScorer {
  readonly score: ScorePart;
  /** Workers that are there now. */
  workers(): Promise<number>;
  close(): Promise<void>;
}

/**
 * Opens the queue of a model. A part's job is named by what is in it: a run that is started again finds the jobs of the one
 * before, and one whose worker has died is begun again by another.
 *
 * @throws UsageError where the server is not to be reached.
 */
export async function openQueueScorer(address: RedisAddress, shared: SharedJob): Promise<QueueScorer> {
  await checkRedis(address);
  const { Queue, QueueEvents } = await import('bullmq');
  const name = queueName(shared.fingerprint);
  const queue: Queue = new Queue(name, {
    connection: { ...address },
    streams: { events: { maxLen: keptEvents } },
  });
  const events: QueueEvents = new QueueEvents(name, { connection: { ...address } });
  events.setMaxListeners(0);
  queue.setMaxListeners(0);
  // Connections that break are made again by the client; who waits is told when the job has ended.
  queue.on('error', () => undefined);
  events.on('error', () => undefined);
  const score: ScorePart = async ({ index, rows, items }, mode, signal) => {
    const data: PartJob = { ...shared, mode, part: index, rows, samples: items.map(bareSample) };
    const id = sha256(JSON.stringify(data)).slice(0, 32);
    const job = await addJob(queue, id, data);
    const result = await outcome(job, events, signal);
    const part = unpackResult(result, items);
    await job.remove();
    return part;
  };
  return {
    score,
    workers: () => queue.getWorkersCount(),
    close: async () => {
      await events.close();
      await queue.close();
    },
  };
}

function bareSample({ key, id, source, prompt, reply }: Sample): PartJob['samples'][number] {
  return { key, id, source, prompt: [...prompt], reply };
}

/** A job of that name that failed before is begun anew. */
async function addJob(queue: Queue, id: string, data: PartJob): Promise<Job> {
  const known = (await queue.getJob(id)) as Job | undefined;
  if (known !== undefined && (await known.isFailed())) await known.remove();
  return queue.add('part', data, { jobId: id, attempts });
}

async function outcome(job: Job, events: QueueEvents, signal: AbortSignal | undefined): Promise<unknown> {
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(new AbortError('Stopped while parts of the data set were with workers.'));
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([finished(job, events), stopped]);
  } catch (error) {
    // One that waits is taken back; one that is in work ends there, and is found finished by the next run.
    if (error instanceof AbortError) await job.remove().catch(() => undefined);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

async function finished(job: Job, events: QueueEvents): Promise<unknown> {
  try {
    return await job.waitUntilFinished(events);
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`A part of the data set failed on a worker: ${said}`, { cause });
  }
}
