import { AbortError } from '../../errors.ts';
import { mapConcurrently, type MapOptions } from '../../util/map-concurrently.ts';
import { randomStream } from '../../util/random.ts';
import { requireCapability } from '../capabilities.ts';
import { markThoughts } from '../forward.ts';
import { checkOptions, prepareRow, rowSettings } from '../generate.ts';
import { pools } from '../positions.ts';
import type { RunningRow } from '../running-row.ts';
import type { Generated, GenerateOptions, GenerateRow, Pooling } from '../types.ts';
import type { Completion, RemoteSampling } from './completions.ts';
import type { RemoteModel } from './remote-model.ts';
import type { Reading } from './residuals.ts';

/** A row, with the tokens that end its reply: those of the checkpoint, and the one that the server says has ended it. */
interface RemoteRow {
  readonly given: GenerateRow;
  readonly row: RunningRow;
  /** The same row once more, which tells which tokens count before anybody is told of them. */
  readonly trial: RunningRow;
  readonly ends: Set<number>;
}

/**
 * Continues rows on a server. Tokens come whole, and are then taken as if they had been drawn here, so that text, stop strings
 * and events are what they are anywhere else. What is read of a reply is read of the whole text afterwards.
 */
export async function* generateRemotely(
  model: RemoteModel,
  rows: readonly GenerateRow[],
  options: GenerateOptions,
  concurrency: Pick<MapOptions, 'limit' | 'stopped'>,
): AsyncGenerator<Generated> {
  const { tokenizer, generation } = model.checkpoint;
  checkOptions(options, tokenizer !== null);
  model.requireReading(options, options.capture);
  const prepared = rows.map((given, index): RemoteRow => {
    const settings = rowSettings(options, generation.eosTokenIds);
    const ends = new Set(settings.eos);
    const own = { ...settings, eos: ends };
    const prepare = (settings: typeof own): RunningRow =>
      prepareRow(model.rows, given, index, options, settings, tokenizer);
    const row = prepare(own);
    model.requireEdits(row.plan);
    if ((given.steeredReplies?.length ?? 0) > 0)
      requireCapability(model, 'earlier replies', 'a row with earlier replies to steer');
    return { given, row, trial: prepare({ ...own, onToken: undefined }), ends };
  });
  const work = (one: RemoteRow): Promise<Generated> => runRow(model, one, options);
  yield* mapConcurrently(prepared, work, { ...concurrency, signal: options.signal });
}

async function runRow(model: RemoteModel, one: RemoteRow, options: GenerateOptions): Promise<Generated> {
  const { given, row, trial, ends } = one;
  const signal = anyOf(options.signal, given.signal);
  try {
    const completion = await ask(model, row, given, options, signal);
    const last = completion.ids.at(-1);
    // The server may know an end that the checkpoint's files do not name.
    if (completion.stopped && completion.stopString === null && last !== undefined) ends.add(last);
    const reply = completion.ids.slice(0, fedTokens(trial, completion.ids));
    const read = await readRow(model, row, reply, options, signal);
    return take(row, completion, read, options);
  } catch (error) {
    if (error instanceof AbortError && given.signal?.aborted === true && options.signal?.aborted !== true)
      return cancelled(row);
    throw error;
  }
}

/** How many of a reply's tokens are fed: all but an end, and but the last of a stop string. */
function fedTokens(row: RunningRow, ids: readonly number[]): number {
  for (const [i, id] of ids.entries()) {
    row.advance({ id, report: null });
    if (row.done) return i;
  }
  return ids.length;
}

function ask(
  model: RemoteModel,
  row: RunningRow,
  given: GenerateRow,
  options: GenerateOptions,
  signal: AbortSignal | undefined,
): Promise<Completion> {
  const { maxTokens, ignoreEos, stop, logprobs } = options;
  const places = row.prompt;
  return model.completions.complete({
    ids: given.ids,
    maxTokens,
    sampling: samplingOf(options),
    seed: seedOf(options.seed ?? 0, given.key ?? String(row.index)),
    ...(ignoreEos === undefined ? {} : { ignoreEos }),
    stopIds: model.checkpoint.generation.eosTokenIds,
    ...(stop === undefined ? {} : { stop }),
    logprobs: logprobs ?? null,
    extra: model.protocol.steer({ plan: row.plan, places, newTokens: maxTokens }),
    signal,
  });
}

/** Rows keep their text whatever runs beside them, as far as the server does. */
function seedOf(seed: number, key: string): number {
  return Math.floor(randomStream('sample', seed, key).uniform() * 2 ** 48);
}

function samplingOf(options: GenerateOptions): RemoteSampling {
  const { temperature = 0, topP = 1, topK = 0, minP = 0, repetitionPenalty = 1 } = options;
  return {
    temperature,
    top_p: topP,
    top_k: topK === 0 ? -1 : topK,
    min_p: minP,
    repetition_penalty: repetitionPenalty,
  };
}

/** What is read of a row's prompt and reply, and of a given reply to it. */
interface RowRead {
  readonly pooled: Generated['pooled'];
  /** `[1 + reply, probes]`: from the last prompt token on. */
  readonly projections: Float32Array;
  /** `[given, probes]`. */
  readonly read: Float32Array;
}

async function readRow(
  model: RemoteModel,
  row: RunningRow,
  reply: readonly number[],
  options: GenerateOptions,
  signal: AbortSignal | undefined,
): Promise<RowRead> {
  const probes = options.project ?? [];
  const length = row.prompt.length;
  const all = [...row.prompt, ...reply.map((id, i) => ({ id, index: length + i, promptLength: length }))];
  const places = options.skipThoughts === true ? markThoughts(all, model.rows.thinkTokens) : all;
  const pool = new Map<Pooling, number[]>();
  for (const name of options.capture ?? []) {
    const taken = places
      .filter((place) => pools(name, place, model.rows.endsSentence))
      .map((place) => place.index);
    if (taken.length > 0) pool.set(name, taken);
  }
  const reading: Reading = { pool, probes, tokens: false };
  const { pooled, projections } = await model.read({ places, plan: row.plan }, reading, signal);
  const given = row.read;
  const beside =
    given.length === 0 || probes.length === 0
      ? new Float32Array(0)
      : (
          await model.read(
            { places: [...row.prompt, ...given], plan: row.plan },
            { pool: new Map(), probes, tokens: false },
            signal,
          )
        ).projections.slice(length * probes.length);
  return { pooled, projections: projections.slice((length - 1) * probes.length), read: beside };
}

/** Hands the row its tokens one by one, as if each had just been drawn. */
function take(
  row: RunningRow,
  { ids, logprobs }: Completion,
  { pooled, projections, read }: RowRead,
  options: GenerateOptions,
): Generated {
  const probes = options.project?.length ?? 0;
  const fed = (i: number): void => {
    if (probes > 0) row.project(projections.slice(i * probes, (i + 1) * probes));
  };
  if (read.length > 0) row.takeRead(read);
  fed(0);
  for (let i = 0; i < ids.length && !row.done; i++) {
    row.advance({ id: ids[i]!, report: logprobs?.[i] ?? null });
    if (!row.done) fed(i + 1);
  }
  if (!row.done) row.advance(null);
  return { ...row.result(), pooled };
}

function cancelled(row: RunningRow): Generated {
  return { ...row.result(), finishReason: 'cancelled' };
}

function anyOf(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return AbortSignal.any([a, b]);
}
