import { DataError, ModelError } from '../errors.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { TextTokenizer } from '../model/tokenizer.ts';
import { layoutOf, parseTurns } from '../store/dataset/row-layouts.ts';
import { readUserJson } from '../store/strict-json.ts';

/**
 * A conversation in a JSON file: a list of messages, or an object that holds a conversation as a row of a data set does.
 *
 * @throws DataError where the file holds something else.
 */
export async function readMessages(file: string): Promise<ChatMessage[]> {
  const content = await readUserJson(file);
  const value = Array.isArray(content) ? { messages: content as unknown[] } : content;
  const where = `"${file}"`;
  const layout = layoutOf(value);
  if (layout === null || layout === 'ids' || layout === 'prompt')
    throw new DataError(`${where}: expected a list of messages or {"messages": […]}.`, {
      details: { where },
    });
  return parseTurns(value, layout, where).map(({ role, content: text }) => ({ role, content: text }));
}

/** The tokenizer of a checkpoint; ModelError where it has none, since text then has no ids. */
export function requireTokenizer(checkpoint: Checkpoint, where: string): TextTokenizer {
  if (checkpoint.tokenizer !== null) return checkpoint.tokenizer;
  throw new ModelError(
    `${where}: expected a tokenizer to turn text into ids, but "${checkpoint.folder}" has no tokenizer.json; give ids, or add the file.`,
    { details: { folder: checkpoint.folder } },
  );
}
