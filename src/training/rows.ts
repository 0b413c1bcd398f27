import { z } from 'zod';
import { AbortError, DataError, ModelError } from '../errors.ts';
import { encodeRawPrompt, encodeReply } from '../model/chat.ts';
import { encodeTurns } from '../model/chat-turns.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { withSharedTimeLimit } from '../model/time-limit.ts';
import { readJsonl } from '../store/jsonl.ts';
import {
  type ConversationRow,
  type ParsedRow,
  type RowLayout,
  type TextRow,
  type TokenRow,
  layoutOf,
  parseRow,
} from '../store/dataset/row-layouts.ts';
import { RowStore } from './row-store.ts';
import type { TrainingRow } from './types.ts';

export interface ReadRowsOptions {
  /** Longest row that is kept, in tokens; never more than the model's context. */
  readonly maxLength: number;
  /** What becomes of longer ones. */
  readonly longRows: 'truncate' | 'skip';
  /** Weight of tokens that are no response. */
  readonly promptWeight: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (rows: number) => void;
}

/** What happened to the rows of some files. */
export interface RowCounts {
  /** Lines read. */
  readonly read: number;
  readonly kept: number;
  /** Kept, with their ends cut off. */
  readonly truncated: number;
  /** Left out, being longer than the limit. */
  readonly skippedLong: number;
  /** Left out, since no token of them counts (a reply of weight 0, or one that lies behind the limit). */
  readonly skippedEmpty: number;
  /** Conversations whose system message was put before the first user message, because the template takes none. */
  readonly systemMerged: number;
}

export interface ReadRows {
  readonly rows: RowStore;
  readonly counts: RowCounts;
  /** Tokens of the longest row, before any was cut. */
  readonly longest: number;
}

/**
 * Reads rows of JSON-lines files, one file after the other, in memory of eight bytes a token that is kept. Each file has
 * one layout: OpenAI's `messages`, ShareGPT's `conversations`, raw `prompt` and `answer`, or `ids`.
 *
 * @throws DataError naming file and line for a row that cannot be trained on; DataError where no row is left.
 */
export async function readTrainingRows(
  files: readonly string[],
  checkpoint: Checkpoint,
  options: ReadRowsOptions,
): Promise<ReadRows> {
  const rows = new RowStore();
  const counts = { read: 0, kept: 0, truncated: 0, skippedLong: 0, skippedEmpty: 0, systemMerged: 0 };
  let longest = 0;
  for (const [index, file] of files.entries()) {
    const prefix = files.length === 1 ? '' : `file ${index + 1}, `;
    for await (const chunk of chunksOf(file)) {
      if (options.signal?.aborted === true)
        throw new AbortError('Stopped while the rows were read; nothing was written.');
      for (const { row, systemMerged } of encodeChunk(chunk, prefix, checkpoint, options)) {
        counts.read++;
        longest = Math.max(longest, row.ids.length);
        if (systemMerged) counts.systemMerged++;
        const outcome = fit(row, options);
        counts[outcome.count]++;
        if (outcome.count === 'truncated') counts.kept++;
        if (outcome.row !== null) rows.add(outcome.row);
      }
      options.onProgress?.(counts.read);
    }
  }
  if (rows.length === 0) throw nothingLeft(files, counts, options.maxLength);
  return { rows, counts, longest };
}

/** Rows of a file that are encoded together. */
const chunkRows = 64;

/** A line, checked and not yet encoded. */
interface ParsedLine {
  readonly line: number;
  readonly where: string;
  readonly row: ParsedRow;
}

async function* chunksOf(file: string): AsyncGenerator<readonly ParsedLine[]> {
  let layout: { readonly name: RowLayout; readonly line: number } | null = null;
  let chunk: ParsedLine[] = [];
  for await (const { line, value } of readJsonl(file, z.unknown())) {
    const where = `"${file}", line ${line}`;
    const name = checkLayout(value, layout, where);
    layout ??= { name, line };
    chunk.push({ line, where, row: parseRow(value, name, where) });
    if (chunk.length < chunkRows) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/** Encodes rows under one time limit, and one by one under limits of their own where that is not enough. */
function encodeChunk(
  chunk: readonly ParsedLine[],
  prefix: string,
  checkpoint: Checkpoint,
  options: ReadRowsOptions,
): EncodedTrainingRow[] {
  const encode = (): EncodedTrainingRow[] =>
    chunk.map(({ line, where, row }) =>
      encodeRow(row, checkpoint, { key: `${prefix}line ${line}`, where, options }),
    );
  return withSharedTimeLimit(encode);
}

interface RowScene {
  readonly key: string;
  readonly where: string;
  readonly options: Pick<ReadRowsOptions, 'promptWeight'>;
}

interface EncodedTrainingRow {
  readonly row: TrainingRow;
  readonly systemMerged: boolean;
}

/** A parsed row as tokens with weights, not yet cut to length. */
export function encodeRow(row: ParsedRow, checkpoint: Checkpoint, scene: RowScene): EncodedTrainingRow {
  if (row.kind === 'conversation') return fromConversation(row, checkpoint, scene);
  const tokens = row.kind === 'tokens' ? row : tokenise(row, checkpoint, scene);
  return { row: fromTokens(tokens, checkpoint, scene), systemMerged: false };
}

/** Prompt and answer are tokenised apart, and the model's end-of-text token follows, if it has one. */
function tokenise(
  { prompt, answer }: TextRow,
  { tokenizer, generation }: Checkpoint,
  { where }: RowScene,
): TokenRow {
  if (tokenizer === null)
    throw new ModelError(
      `${where}: this model has no tokenizer.json, so that text cannot be trained on; give rows of "ids", or add the file.`,
      { details: { where } },
    );
  const before = encodeRawPrompt(tokenizer, prompt);
  const ids = [...before, ...encodeReply(tokenizer, answer), ...generation.eosTokenIds.slice(0, 1)];
  return { kind: 'tokens', ids, weights: null, responseStart: before.length };
}

function fromTokens(
  { ids, weights: given, responseStart }: TokenRow,
  checkpoint: Checkpoint,
  { key, where, options }: RowScene,
): TrainingRow {
  const { vocabSize } = checkpoint.config;
  const stranger = ids.find((id) => id >= vocabSize);
  if (stranger !== undefined)
    throw new DataError(
      `${where}: expected token ids from 0 to ${vocabSize - 1}, got ${stranger}; they may come from another tokenizer.`,
      { details: { where } },
    );
  const weights = Float32Array.from(
    given ?? ids.map((_, i) => (i >= responseStart ? 1 : options.promptWeight)),
  );
  // Nothing comes before the first token by which it could be predicted.
  weights[0] = 0;
  return { key, ids, weights, promptLength: responseStart };
}

function fromConversation(
  { messages, trained }: ConversationRow,
  checkpoint: Checkpoint,
  { key, where, options }: RowScene,
): EncodedTrainingRow {
  if (checkpoint.chatTemplate === null)
    throw new ModelError(
      `${where}: this model has no chat template, so that messages cannot be trained on; give rows of "ids", or put a chat_template.jinja into its folder.`,
      { details: { where } },
    );
  const { ids, replies, systemMerged } = located(where, () => encodeTurns(checkpoint, messages));
  const weights = new Float32Array(ids.length).fill(options.promptWeight);
  const counting = replies.find(({ message }) => trained[message] === true);
  for (const { message, start, end } of replies) weights.fill(trained[message] === true ? 1 : 0, start, end);
  weights[0] = 0;
  const promptLength = (counting ?? replies.at(-1))?.start ?? ids.length;
  return { row: { key, ids, weights, promptLength }, systemMerged };
}

/** Adds to an error about a row where the row is. */
function located<T>(where: string, encode: () => T): T {
  try {
    return encode();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`${where}: ${cause.message}`, { details: { ...cause.details, where }, cause });
  }
}

type Outcome = {
  readonly count: 'kept' | 'truncated' | 'skippedLong' | 'skippedEmpty';
  readonly row: TrainingRow | null;
};

/** Applies the rule for long rows, and leaves out what has nothing to learn. */
function fit(row: TrainingRow, { maxLength, longRows }: ReadRowsOptions): Outcome {
  const long = row.ids.length > maxLength;
  if (long && longRows === 'skip') return { count: 'skippedLong', row: null };
  const cut = long
    ? {
        ...row,
        ids: row.ids.slice(0, maxLength),
        weights: row.weights.slice(0, maxLength),
        promptLength: Math.min(row.promptLength, maxLength),
      }
    : row;
  if (!cut.weights.some((weight) => weight > 0)) return { count: 'skippedEmpty', row: null };
  return { count: long ? 'truncated' : 'kept', row: cut };
}

function checkLayout(
  value: unknown,
  before: { readonly name: RowLayout; readonly line: number } | null,
  where: string,
): RowLayout {
  const layout = layoutOf(value);
  if (layout === null)
    throw new DataError(
      `${where}: expected an object with "messages" (OpenAI), "conversations" (ShareGPT), "prompt" and "answer", or "ids", got none of them; correct or remove the line.`,
      { details: { where } },
    );
  if (before === null || before.name === layout) return layout;
  throw new DataError(
    `${where}: expected "${before.name}" as in line ${before.line}, got "${layout}"; a file has rows of one layout, so put these into a file of their own.`,
    { details: { where } },
  );
}

function nothingLeft(files: readonly string[], counts: RowCounts, maxLength: number): DataError {
  const names = files.map((file) => `"${file}"`).join(', ');
  if (counts.read === 0)
    return new DataError(`Expected at least one row in ${names}, got none; check the path.`, {
      details: { read: 0 },
    });
  return new DataError(
    `Expected at least one row with response tokens in ${names}, got ${counts.read} of which ${counts.skippedLong} are longer than ${maxLength} tokens and ${counts.skippedEmpty} have no response token within them; raise "max_seq_length" or check the rows.`,
    { details: { read: counts.read } },
  );
}
