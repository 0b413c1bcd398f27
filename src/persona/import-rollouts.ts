import { AbortError, DataError } from '../errors.ts';
import type { ForwardRow, Pooled } from '../engine/types.ts';
import { encodeRawPrompt, encodeReply } from '../model/chat.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { thinkTokensOf, withoutThoughts } from '../model/thinking.ts';
import type { NewRollout, RolloutStore } from '../store/rollout-store.ts';
import { type ExtractContext, type RolloutPaths, type StepRollouts, fillStore } from './extract-context.ts';
import { filterPairs } from './filter.ts';
import type { GivenRollout, GivenRollouts } from './given-rollouts.ts';
import { judgeRollouts } from './judge-rollouts.ts';
import type { Scores } from './judge.ts';
import { encodeMessages, encodePrompt, requireTokenizer } from './prompt.ts';
import { pairByKey } from './pair-by-key.ts';
import type { Trait } from './trait.ts';

/** A given rollout as tokens. */
export interface EncodedRollout {
  readonly given: GivenRollout;
  readonly ids: readonly number[];
  readonly responseStart: number;
  /** The reply without thoughts, as it is judged. */
  readonly text: string;
  /** Whether nothing of the reply is left to pool. */
  readonly isEmpty: boolean;
}

/** Rows written together. */
const COMMIT_ROWS = 64;
/** Tokens that are sorted by length for one call of the engine: batches with little padding, memory that stays flat. */
const CHUNK_TOKENS = 65_536;
const pairedByOrder =
  'Not every given rollout names its instruction and question, so partners are found by their order in the two files.';
const unscorable: Scores = { trait: null, coherence: null, raw: null };

/**
 * Takes rollouts made elsewhere into a store: one pass over each for its activations, a judgement for those without scores.
 * Where all have scores, those that the filter drops are not run: zeros keep their places.
 */
export async function importRollouts(
  context: ExtractContext,
  given: GivenRollouts,
  paths: RolloutPaths,
): Promise<StepRollouts> {
  const keys = given.rows.map(({ key }) => key);
  return fillStore(context, keys, paths, (store) => takeIn(context, given, store));
}

async function takeIn(
  context: ExtractContext,
  { rows, byOrder }: GivenRollouts,
  store: RolloutStore,
): Promise<void> {
  if (store.finished) return;
  const { settings, signal } = context;
  if (byOrder) context.notify({ type: 'note', message: pairedByOrder });
  const encoded = rows.map((given) =>
    encodeGiven(settings.model.checkpoint, settings.trait, given, settings.keepThoughts),
  );
  const tell = (phase: 'generate' | 'judge', done: number, tokens: number): void =>
    context.notify({ type: 'step-progress', step: 'rollouts', phase, done, total: rows.length, tokens });
  await runMissing(context, encoded, store, tell);
  const scored = store.unscored().flatMap((index) => {
    const scores = scoresOf(encoded[index]!);
    return scores === null ? [] : [{ key: rows[index]!.key, scores }];
  });
  await store.addScores(scored);
  const { judge } = settings;
  await judgeRollouts({ store, judge, rows: store.unscored(), onProgress: tell, ...(signal && { signal }) });
  await store.finish();
}

/** What is known without a judge; null where one must say. */
function scoresOf({ given, isEmpty }: EncodedRollout): Scores | null {
  return isEmpty ? unscorable : given.scores;
}

async function runMissing(
  context: ExtractContext,
  encoded: readonly EncodedRollout[],
  store: RolloutStore,
  tell: (phase: 'generate', done: number, tokens: number) => void,
): Promise<void> {
  const { settings, signal } = context;
  const { layers, width } = settings.model.checkpoint.config;
  const zeros = new Float32Array((layers + 1) * width);
  const needed = rowsToRun(context, encoded);
  const missing = store.missing();
  let [done, tokens] = [encoded.length - missing.length, 0];
  const add = async (batch: readonly (readonly [number, Pooled])[]): Promise<void> => {
    await store.addRollouts(
      batch.map(([index, pooled]) => ({
        row: storedRow(encoded[index]!),
        records: Object.fromEntries(settings.capture.map((name) => [name, pooled[name] ?? zeros])),
      })),
    );
    done += batch.length;
    tell('generate', done, tokens);
  };
  for (const batch of chunks(
    missing.filter((index) => !needed.has(index)),
    () => 1,
    COMMIT_ROWS,
  )) {
    await add(batch.map((index) => [index, {}] as const));
  }
  const lengthOf = (index: number): number => encoded[index]!.ids.length;
  for (const chunk of chunks(
    missing.filter((index) => needed.has(index)),
    lengthOf,
    CHUNK_TOKENS,
  )) {
    const options = {
      pool: settings.capture,
      skipThoughts: !settings.keepThoughts,
      ...(signal && { signal }),
    };
    const forward = settings.model.forward(
      chunk.map((index) => forwardRow(encoded[index]!)),
      options,
    );
    let waiting: (readonly [number, Pooled])[] = [];
    for await (const { index, pooled } of forward) {
      waiting.push([chunk[index]!, pooled]);
      tokens += lengthOf(chunk[index]!);
      if (waiting.length < COMMIT_ROWS) continue;
      await add(waiting);
      waiting = [];
    }
    await add(waiting);
    if (signal?.aborted === true) throw new AbortError('Stopped; the same command continues from here.');
  }
}

/** Rows whose activations the vector may need: those that the filter keeps, once all scores are known. */
function rowsToRun({ settings }: ExtractContext, encoded: readonly EncodedRollout[]): ReadonlySet<number> {
  const places = new Map(encoded.map(({ given }, index) => [given.key, index]));
  const keys = encoded.map(({ given }) => given.key);
  if (encoded.some((row) => scoresOf(row) === null)) {
    return new Set(keys.flatMap((_, index) => (encoded[index]!.isEmpty ? [] : [index])));
  }
  const pairs = pairByKey(keys, (key) => {
    const row = encoded[places.get(key) ?? -1];
    return row === undefined ? undefined : (scoresOf(row) ?? undefined);
  });
  const { kept } = filterPairs(pairs, settings.filter);
  return new Set(
    (['pos', 'neg'] as const).flatMap((pole) => kept[pole].map((key) => places.get(`${pole}/${key}`)!)),
  );
}

function forwardRow({ ids, responseStart }: EncodedRollout): ForwardRow {
  return { ids, responseStart };
}

function storedRow({ given, ids, responseStart, text }: EncodedRollout): NewRollout['row'] {
  const { key, question, prompt, answer, questionId } = given;
  return {
    key,
    ids: given.ids,
    system: 'system' in prompt ? prompt.system : null,
    question,
    text,
    prompt_tokens: responseStart,
    response_ids: ids.slice(responseStart),
    finish_reason: 'stop',
    ...('text' in prompt ? { given: { prompt: prompt.text, answer, question_id: questionId } } : {}),
  };
}

/**
 * A given rollout as the model reads it.
 *
 * @throws DataError for one that is longer than the model's context.
 */
export function encodeGiven(
  checkpoint: Checkpoint,
  trait: Trait,
  given: GivenRollout,
  keepThoughts: boolean,
): EncodedRollout {
  const tokenizer = requireTokenizer(checkpoint);
  const prompt = encodeGivenPrompt(checkpoint, trait, given);
  const reply = encodeReply(tokenizer, given.answer);
  const { maxPositions } = checkpoint.config;
  if (prompt.length + reply.length > maxPositions) {
    throw new DataError(
      `${given.where}: expected at most ${maxPositions} tokens (the model's context), got ${prompt.length + reply.length}; leave the row out, or use another model.`,
      { details: { where: given.where } },
    );
  }
  const own = keepThoughts ? reply : withoutThoughts(thinkTokensOf(tokenizer), prompt, reply);
  return {
    given,
    ids: [...prompt, ...reply],
    responseStart: prompt.length,
    text:
      own.length === reply.length ? given.answer : tokenizer.decode(own, { skipSpecial: true }).trimStart(),
    isEmpty: own.length === 0,
  };
}

export function encodeGivenPrompt(
  checkpoint: Checkpoint,
  trait: Trait,
  { prompt }: GivenRollout,
): readonly number[] {
  if ('text' in prompt) return encodeRawPrompt(requireTokenizer(checkpoint), prompt.text);
  if ('messages' in prompt) return encodeMessages(checkpoint, prompt.messages).ids;
  return encodePrompt(checkpoint, trait, prompt).ids;
}

/** Consecutive items whose sizes add up to about `most`. */
function* chunks(
  items: readonly number[],
  sizeOf: (item: number) => number,
  most: number,
): Generator<number[]> {
  let chunk: number[] = [];
  let size = 0;
  for (const item of items) {
    chunk.push(item);
    size += sizeOf(item);
    if (size < most) continue;
    yield chunk;
    [chunk, size] = [[], 0];
  }
  if (chunk.length > 0) yield chunk;
}
