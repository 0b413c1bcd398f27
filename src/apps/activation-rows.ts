import { z } from 'zod';
import { pools } from '../engine/positions.ts';
import type { ForwardRow, Pooling } from '../engine/types.ts';
import { DataError } from '../errors.ts';
import { encodeConversation, encodeRawPrompt, encodeReply } from '../model/chat.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { type ParsedRow, layoutOf, parseRow, rowLayouts } from '../store/dataset/row-layouts.ts';
import { readJsonl } from '../store/jsonl.ts';
import { requireTokenizer } from './messages.ts';
import { isObject, refuseMisspeltKeys } from '../store/strict-json.ts';

/** A row ready for the engine. */
export type EncodedRow = Required<Pick<ForwardRow, 'ids' | 'responseStart'>>;

/**
 * Reads rows of a JSON-lines file, encoded, in the order of the file and in memory of one row.
 *
 * @throws DataError naming file and line for a row that the model could not run or that `pool` could not read.
 */
export async function* readActivationRows(
  file: string,
  checkpoint: Checkpoint,
  pool: readonly Pooling[],
): AsyncGenerator<EncodedRow> {
  for await (const { line, value } of readJsonl(file, z.unknown())) {
    const where = `"${file}", line ${line}`;
    yield encodeActivationRow(value, checkpoint, pool, where);
  }
}

/**
 * One row of any layout that data sets have (see `rowLayouts`), encoded and checked; `where` begins the sentence of an error.
 *
 * @throws DataError as `readActivationRows`.
 */
export function encodeActivationRow(
  value: unknown,
  checkpoint: Checkpoint,
  pool: readonly Pooling[],
  where: string,
): EncodedRow {
  const row = encodeRow(parsed(value, where), checkpoint, where);
  checkRow(row, checkpoint, pool, where);
  return row;
}

/** A row of any layout that data sets have; a prompt alone will do where nothing of a response is pooled. */
function parsed(value: unknown, where: string): ParsedRow {
  const layout = layoutOf(value);
  if (layout !== null) return parseRow(value, layout, where, { promptAlone: true });
  if (isObject(value)) refuseMisspeltKeys(value, [...rowLayouts, 'answer'], where);
  throw new DataError(
    `${where}: expected an object with "ids", "messages" or another layout of conversations, or "prompt" and "answer", got ${isObject(value) ? 'none of them' : 'something else'}.`,
    { details: { where } },
  );
}

function encodeRow(row: ParsedRow, checkpoint: Checkpoint, where: string): EncodedRow {
  if (row.kind === 'tokens') return { ids: row.ids, responseStart: row.responseStart };
  const tokenizer = requireTokenizer(checkpoint, where);
  if (row.kind === 'conversation') return located(where, () => encodeConversation(checkpoint, row.messages));
  const prompt = encodeRawPrompt(tokenizer, row.prompt);
  return {
    ids: [...prompt, ...encodeReply(tokenizer, row.answer)],
    responseStart: prompt.length,
  };
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

/** Says before any work what the engine would refuse in the middle of it, with the line that a user can find. */
function checkRow(row: EncodedRow, checkpoint: Checkpoint, pool: readonly Pooling[], where: string): void {
  const { vocabSize, maxPositions } = checkpoint.config;
  const refuse = (problem: string): never => {
    throw new DataError(`${where}: ${problem}.`, { details: { where } });
  };
  const { ids, responseStart } = row;
  if (ids.length > maxPositions) {
    refuse(
      `expected at most ${maxPositions} tokens (the model's context), got ${ids.length}; shorten the text`,
    );
  }
  const stranger = ids.find((id) => id >= vocabSize);
  if (stranger !== undefined) {
    refuse(
      `expected token ids from 0 to ${vocabSize - 1}, got ${stranger}; they may come from another tokenizer`,
    );
  }
  if (responseStart > ids.length) {
    refuse(`expected "response_start" of at most ${ids.length} (the row's length), got ${responseStart}`);
  }
  const endsSentence =
    checkpoint.tokenizer === null ? null : checkpoint.tokenizer.endsSentence.bind(checkpoint.tokenizer);
  for (const pooling of pool) {
    const taken = (id: number, index: number): boolean =>
      pools(pooling, { id, index, promptLength: responseStart }, endsSentence);
    if (!ids.some(taken)) {
      const missing = pooling === 'response_mean' ? 'response' : 'prompt';
      refuse(`expected a ${missing} to pool by ${pooling}, got none; give one, or choose other poolings`);
    }
  }
}
