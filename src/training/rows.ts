import { z } from 'zod';
import { AbortError, DataError } from '../errors.ts';
import { encodeTurns } from '../model/chat-turns.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { readJsonl } from '../store/jsonl.ts';
import { type ConversationRow, type RowLayout, type TokenRow, layoutOf, parseRow } from './row-layouts.ts';
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
 * one layout: OpenAI's `messages`, ShareGPT's `conversations`, or `ids`.
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
    let layout: { readonly name: RowLayout; readonly line: number } | null = null;
    for await (const { line, value } of readJsonl(file, z.unknown())) {
      if (options.signal?.aborted === true)
        throw new AbortError('Stopped while the rows were read; nothing was written.');
      const where = `"${file}", line ${line}`;
      const name = checkLayout(value, layout, where);
      layout ??= { name, line };
      counts.read++;
      const key = files.length === 1 ? `line ${line}` : `file ${index + 1}, line ${line}`;
      const encoded = encodeRow(parseRow(value, name, where), checkpoint, { key, where, options });
      longest = Math.max(longest, encoded.row.ids.length);
      if (encoded.systemMerged) counts.systemMerged++;
      const outcome = fit(encoded.row, options);
      counts[outcome.count]++;
      if (outcome.count === 'truncated') counts.kept++;
      if (outcome.row !== null) rows.add(outcome.row);
      options.onProgress?.(counts.read);
    }
  }
  if (rows.length === 0) throw nothingLeft(files, counts, options.maxLength);
  return { rows, counts, longest };
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
export function encodeRow(
  row: ConversationRow | TokenRow,
  checkpoint: Checkpoint,
  scene: RowScene,
): EncodedTrainingRow {
  return row.kind === 'tokens'
    ? { row: fromTokens(row, checkpoint, scene), systemMerged: false }
    : fromConversation(row, checkpoint, scene);
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
      `${where}: expected an object with "messages" (OpenAI), "conversations" (ShareGPT) or "ids", got none of them; correct or remove the line.`,
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
