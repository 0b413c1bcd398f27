import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { runFiles } from '../store/run-folder.ts';
import { type EventSink, streamEvents } from './event-stream.ts';
import { HttpFailure } from './failure.ts';
import { partBytes, readLog, readSteps, tailOffset } from './run-log.ts';
import type { Runs } from './runs.ts';

/** Listeners at once. */
const mostListeners = 64;
/** Milliseconds between two looks at a run's files, and before one that waits for its listener. */
const lookEvery = 400;
const waitFor = 50;

/** How far a listener has read a run: its attempt, and bytes of its two files. */
interface Place {
  readonly attempt: number;
  readonly log: number;
  readonly steps: number;
}

/** Streams of what becomes of runs. */
export class RunEvents {
  private readonly runs: Runs;
  private readonly sinks = new Set<EventSink>();

  constructor(runs: Runs) {
    this.runs = runs;
  }

  /** Every run as it changes, and the ids of those that are removed. */
  all(): Response {
    return this.stream((sink) =>
      this.runs.subscribe((change) =>
        'item' in change
          ? sink.send({ event: 'run', data: change.item })
          : sink.send({ event: 'removed', data: { id: change.removed } }),
      ),
    );
  }

  /**
   * One run: itself, what is added to its log, and the steps of a training. It begins with the end of the log, or goes on after
   * the event whose id is given.
   */
  one(id: string, lastId: string | null): Response {
    const { log, output } = this.runs.places(id);
    const from = lastId === null ? null : parsePlace(lastId);
    if (lastId !== null && from === null)
      throw new HttpFailure(400, 'expected as "last-event-id" the id of an event', {
        param: 'last-event-id',
      });
    return this.stream((sink) => {
      const controller = new AbortController();
      const files = { log, steps: join(output, runFiles.trainLog) };
      void this.follow({ id, from, files, sink, signal: controller.signal }).catch(() => sink.end());
      return () => controller.abort();
    });
  }

  /** Ends all streams. */
  close(): void {
    for (const sink of this.sinks) sink.end();
  }

  private stream(attach: (sink: EventSink) => () => void): Response {
    if (this.sinks.size >= mostListeners)
      throw new HttpFailure(503, `${mostListeners} listen already, which is as many as may`, {
        retryAfter: 10,
      });
    return streamEvents((sink) => {
      this.sinks.add(sink);
      const detach = attach(sink);
      return () => {
        this.sinks.delete(sink);
        detach();
      };
    });
  }

  private async follow({ id, from, files, sink, signal }: Following): Promise<void> {
    let place = from ?? { attempt: 0, log: await tailOffset(files.log, partBytes), steps: 0 };
    let told = '';
    while (!signal.aborted) {
      const item = this.runs.item(id);
      // What a run that is continued had written behind its last checkpoint is written again.
      const before =
        item.attempt === place.attempt ? place : { attempt: item.attempt, log: place.log, steps: 0 };
      const log = await readLog(files.log, before.log, partBytes);
      const steps = await readSteps(files.steps, before.steps);
      place = { attempt: item.attempt, log: log.next_offset, steps: steps.next };
      if (signal.aborted) return;
      const text = JSON.stringify(item);
      if (text !== told) sink.send({ id: spell(before), event: 'run', data: item });
      told = text;
      if (steps.steps.length > 0)
        sink.send({
          id: spell({ attempt: item.attempt, log: before.log, steps: steps.next }),
          event: 'steps',
          data: { steps: steps.steps },
        });
      const { bytes: _, ...part } = log;
      if (log.next_offset > before.log) sink.send({ id: spell(place), event: 'log', data: part });
      const more = log.next_offset < log.bytes;
      await pause(more || steps.next > before.steps ? 0 : lookEvery, signal);
      while (!sink.isReady() && !signal.aborted) await pause(waitFor, signal);
    }
  }
}

interface Following {
  readonly id: string;
  readonly from: Place | null;
  readonly files: { readonly log: string; readonly steps: string };
  readonly sink: EventSink;
  readonly signal: AbortSignal;
}

/** Fulfilled after so many milliseconds, or at the end of the listening. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal, ref: false }).catch(() => undefined);
}

function spell({ attempt, log, steps }: Place): string {
  return `${attempt}.${log}.${steps}`;
}

function parsePlace(id: string): Place | null {
  const [, attempt, log, steps] = /^(\d{1,9})\.(\d{1,15})\.(\d{1,15})$/.exec(id) ?? [];
  return attempt === undefined ? null : { attempt: Number(attempt), log: Number(log), steps: Number(steps) };
}
