/** The threads of the monitoring store: one writes, one reads. */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { toPlainError } from '../engine/worker/plain-error.ts';
import type { TurnRecord } from '../store/monitor/append.ts';
import { MonitorReader, MonitorStore } from '../store/monitor/store.ts';
import { type JudgedScore, judgeTurn } from './monitor-judge.ts';
import type { ThreadAnswer, ThreadCall, ThreadStart } from './monitor-thread.ts';

type Store = MonitorStore<JudgedScore>;
/** The writer as it is called: turns come one by one. */
export type StoreWriter = Omit<Store, 'append'> & {
  append(record: TurnRecord<JudgedScore>): ReturnType<Store['append']>[number];
};

function serve(port: MessagePort, { file, role }: ThreadStart): void {
  const open = (): Store | MonitorReader =>
    role === 'write' ? new MonitorStore(file, judgeTurn) : new MonitorReader(file);
  const send = (answer: ThreadAnswer): void => port.postMessage(answer);
  let store: Store | MonitorReader;
  try {
    store = open();
  } catch (error) {
    port.on('message', ({ call }: ThreadCall) => send({ call, error: toPlainError(error) }));
    return;
  }
  const turns = new TurnQueue(store, send);
  port.on('message', ({ call, method, args }: ThreadCall) => {
    if (method === 'close') {
      turns.flush();
      store.close();
      port.close();
    } else if (method === 'append') {
      turns.push(call, args[0] as TurnRecord<JudgedScore>);
    } else {
      send(answer(store, { call, method, args }));
    }
  });
}

function answer(store: object, { call, method, args }: ThreadCall): ThreadAnswer {
  try {
    const run = (store as Record<string, (...args: unknown[]) => unknown>)[method]!;
    return { call, result: run.apply(store, [...args]) };
  } catch (error) {
    return { call, error: toPlainError(error) };
  }
}

/** Turns that came while the last ones were written share the next commit. */
class TurnQueue {
  private readonly store: Store | MonitorReader;
  private readonly send: (answer: ThreadAnswer) => void;
  private waiting: { readonly call: number; readonly record: TurnRecord<JudgedScore> }[] = [];

  constructor(store: Store | MonitorReader, send: (answer: ThreadAnswer) => void) {
    this.store = store;
    this.send = send;
  }

  push(call: number, record: TurnRecord<JudgedScore>): void {
    if (this.waiting.length === 0) setImmediate(() => this.flush());
    this.waiting.push({ call, record });
  }

  flush(): void {
    const taken = this.waiting;
    this.waiting = [];
    if (taken.length === 0 || !('append' in this.store)) return;
    const written = this.store.append(taken.map(({ record }) => record));
    for (const [i, { call }] of taken.entries()) {
      const one = written[i]!;
      if ('failed' in one) this.send({ call, error: toPlainError(one.failed) });
      else this.send({ call, result: one });
    }
  }
}

if (parentPort !== null) serve(parentPort, workerData as ThreadStart);
