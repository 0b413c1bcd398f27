import { z } from 'zod';
import { DataError, ModelError } from '../errors.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { TextTokenizer } from '../model/tokenizer.ts';
import { isObject, parseStrict, readUserJson } from '../store/strict-json.ts';

const messageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
});

/** A conversation from outside. */
export const messagesSchema: z.ZodType<ChatMessage[]> = z.array(messageSchema).min(1);

/**
 * A conversation in a JSON file: a list of messages, or an object with one under "messages".
 *
 * @throws DataError where the file holds something else.
 */
export async function readMessages(file: string): Promise<ChatMessage[]> {
  const value = await readUserJson(file);
  const where = `"${file}"`;
  if (Array.isArray(value)) return parseStrict(messagesSchema, value, where);
  if (isObject(value))
    return parseStrict(z.strictObject({ messages: messagesSchema }), value, where).messages;
  throw new DataError(`${where}: expected a list of messages or {"messages": […]}.`, { details: { where } });
}

/** The tokenizer of a checkpoint; ModelError where it has none, since text then has no ids. */
export function requireTokenizer(checkpoint: Checkpoint, where: string): TextTokenizer {
  if (checkpoint.tokenizer !== null) return checkpoint.tokenizer;
  throw new ModelError(
    `${where}: expected a tokenizer to turn text into ids, but "${checkpoint.folder}" has no tokenizer.json; give ids, or add the file.`,
    { details: { folder: checkpoint.folder } },
  );
}
