import { z } from 'zod';
import { pools } from '../engine/positions.ts';
import type { ForwardRow, Pooling } from '../engine/types.ts';
import { DataError } from '../errors.ts';
import { encodeConversation, encodeRawPrompt, encodeReply } from '../model/chat.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { readJsonl } from '../store/jsonl.ts';
import { messagesSchema, requireTokenizer } from './messages.ts';
import { isObject, parseStrict, refuseMisspeltKeys } from '../store/strict-json.ts';

/** One text whose activations are wanted. */
export type ActivationRow =
  /** Token ids; `response_start` is the index of the first response token, by default the row's length. */
  | { readonly ids: readonly number[]; readonly response_start?: number }
  /** A conversation whose last message, the assistant's, is the response. */
  | { readonly messages: readonly ChatMessage[] }
  /** Raw text as the model sees it, control tokens and all, and the answer as plain text; tokenised apart. */
  | { readonly prompt: string; readonly answer: string };

/** A row ready for the engine. */
export type EncodedRow = Required<Pick<ForwardRow, 'ids' | 'responseStart'>>;

const idsSchema = z.object({
  ids: z.array(z.int().min(0)).min(1),
  response_start: z.int().min(0).exactOptional(),
});
const conversationSchema = z.object({ messages: messagesSchema });
const textSchema = z.object({ prompt: z.string(), answer: z.string() });

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
    yield encodeActivationRow(parseRow(value, where), checkpoint, pool, where);
  }
}

/** One row encoded and checked; `where` begins the sentence of an error. @throws DataError as `readActivationRows`. */
export function encodeActivationRow(
  row: ActivationRow,
  checkpoint: Checkpoint,
  pool: readonly Pooling[],
  where: string,
): EncodedRow {
  const encoded = encodeRow(row, checkpoint, where);
  checkRow(encoded, checkpoint, pool, where);
  return encoded;
}

/** Data sets carry further columns, which are left alone unless one looks like a slip for a key of the row's form. */
function parseRow(value: unknown, where: string): ActivationRow {
  if (!isObject(value)) throw formless(where, 'something else');
  if ('ids' in value) {
    refuseMisspeltKeys(value, ['ids', 'response_start'], where);
    return parseStrict(idsSchema, value, where);
  }
  if ('messages' in value) return parseStrict(conversationSchema, value, where);
  if ('prompt' in value || 'answer' in value) {
    refuseMisspeltKeys(value, ['prompt', 'answer'], where);
    return parseStrict(textSchema, value, where);
  }
  refuseMisspeltKeys(value, ['ids', 'messages', 'prompt', 'answer'], where);
  throw formless(where, 'none of them');
}

function formless(where: string, got: string): DataError {
  return new DataError(
    `${where}: expected an object with "ids", "messages", or "prompt" and "answer", got ${got}.`,
    {
      details: { where },
    },
  );
}

function encodeRow(row: ActivationRow, checkpoint: Checkpoint, where: string): EncodedRow {
  if ('ids' in row) return { ids: row.ids, responseStart: row.response_start ?? row.ids.length };
  const tokenizer = requireTokenizer(checkpoint, where);
  if ('messages' in row) return located(where, () => encodeConversation(checkpoint, row.messages));
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
