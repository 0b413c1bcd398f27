/** The thread that an engine runs in: one model, any number of calls side by side. */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Adapter } from '../../model/adapter.ts';
import { loadModel } from '../load.ts';
import type { LanguageModel } from '../model.ts';
import { RunGate } from '../run-gate.ts';
import { enterThrough } from '../session.ts';
import { toPlainError } from './plain-error.ts';
import {
  type CallRequest,
  type CallResult,
  type CallToken,
  type Request,
  type Response,
  resultsAhead,
  type WorkerStart,
} from './protocol.ts';

type Send = (response: Response | CallToken) => void;

/** What calls are answered with. */
interface Desk {
  readonly model: LanguageModel;
  /** By number. */
  readonly adapters: ReadonlyMap<number | null, Adapter>;
  readonly send: Send;
}

/** A call under way. */
interface Call {
  readonly controller: AbortController;
  /** Index: row. */
  readonly rows: readonly AbortController[];
  /** Results sent and not yet taken. */
  ahead: number;
  /** Wakes the call that waits until one is taken. */
  wake: () => void;
}

if (parentPort !== null) await serve(parentPort, workerData as WorkerStart);

async function serve(port: MessagePort, { model: path, options, gate }: WorkerStart): Promise<void> {
  enterThrough(new RunGate(gate));
  const send = sender(port);
  let model: LanguageModel;
  try {
    model = await loadModel(path, { ...options, onNotice: (message) => send({ kind: 'notice', message }) });
  } catch (error) {
    send({ kind: 'failed', call: null, error: toPlainError(error) });
    port.close();
    return;
  }
  const calls = new Map<number, Call>();
  const adapters = new Map<number | null, Adapter>();
  port.on('message', (request: Request) => {
    if (request.kind === 'close') void close(port, model, calls);
    else if (request.kind === 'adapter') adapters.set(request.number, request.adapter);
    else if (request.kind === 'abort') abort(calls.get(request.call), request.row);
    else if (request.kind === 'taken') taken(calls.get(request.call));
    else void answer({ model, adapters, send }, request, calls);
  });
  send({ kind: 'loaded' });
}

/** Sends in order; tokens wait for the others of their step. */
function sender(port: MessagePort): Send {
  let tokens: CallToken[] = [];
  const flush = (): void => {
    if (tokens.length > 0) port.postMessage({ kind: 'tokens', tokens } satisfies Response);
    tokens = [];
  };
  return (response) => {
    if ('event' in response) {
      if (tokens.length === 0) queueMicrotask(flush);
      tokens.push(response);
    } else {
      flush();
      port.postMessage(response, transferables(response));
    }
  };
}

/** Runs one call to its end; every way out of it is a message. */
async function answer(desk: Desk, request: CallRequest, calls: Map<number, Call>): Promise<void> {
  const { send } = desk;
  const call: Call = {
    controller: new AbortController(),
    rows: request.rows.map(() => new AbortController()),
    ahead: 0,
    wake: () => undefined,
  };
  calls.set(request.call, call);
  try {
    for await (const result of start(desk, request, call)) {
      send({ kind: 'result', call: request.call, result });
      call.ahead++;
      if (call.ahead < resultsAhead) continue;
      await new Promise<void>((resolve) => (call.wake = resolve));
    }
    send({ kind: 'done', call: request.call });
  } catch (error) {
    send({ kind: 'failed', call: request.call, error: toPlainError(error) });
  } finally {
    calls.delete(request.call);
  }
}

function start({ model, adapters, send }: Desk, request: CallRequest, call: Call): AsyncIterable<CallResult> {
  const { signal } = call.controller;
  const adapter = adapters.get(request.options.adapter);
  const own = { signal, ...(adapter !== undefined && { adapter }) };
  if (request.kind === 'forward') return model.forward(request.rows, { ...plain(request.options), ...own });
  if (request.kind === 'continuations') {
    return model.scoreContinuations(request.rows, { ...plain(request.options), ...own });
  }
  const { streaming, ...options } = plain(request.options);
  const rows = request.rows.map((row, i) => ({ ...row, signal: (call.rows[i] as AbortController).signal }));
  return model.generate(rows, {
    ...options,
    ...own,
    ...(streaming && { onToken: (event) => send({ call: request.call, event }) }),
  });
}

/** Options without the adapter's number. */
function plain<T extends { readonly adapter: unknown }>({ adapter: _, ...options }: T): Omit<T, 'adapter'> {
  return options;
}

function abort(call: Call | undefined, row: number | null): void {
  if (call === undefined) return;
  if (row !== null) call.rows[row]?.abort();
  else {
    call.controller.abort();
    call.wake();
  }
}

function taken(call: Call | undefined): void {
  if (call === undefined) return;
  call.ahead--;
  call.wake();
}

/** Ends the thread between two steps: to end it during one would abort the process. */
async function close(port: MessagePort, model: LanguageModel, calls: Map<number, Call>): Promise<void> {
  for (const call of calls.values()) abort(call, null);
  await model.close();
  port.close();
}

/** Buffers that belong to the result alone are moved, not copied. */
function transferables(response: Response): ArrayBuffer[] {
  if (response.kind !== 'result') return [];
  const { result } = response;
  if (!('pooled' in result)) return [];
  const arrays = Object.values(result.pooled);
  if ('tokens' in result && result.tokens !== undefined) arrays.push(result.tokens);
  if ('logits' in result && result.logits !== undefined) arrays.push(result.logits);
  return [...new Set(arrays.filter(ownsBuffer).map((array) => array.buffer as ArrayBuffer))];
}

function ownsBuffer(array: Float32Array): boolean {
  return array.byteLength === array.buffer.byteLength;
}
