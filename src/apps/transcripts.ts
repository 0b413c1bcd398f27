import { z } from 'zod';
import { DataError } from '../errors.ts';
import type { ChatMessage, ChatRole } from '../model/chat-template.ts';
import { readJsonl } from '../store/jsonl.ts';
import { isObject, parseStrict, readUserJson } from '../store/strict-json.ts';

/** A conversation out of a file. */
export interface Transcript {
  /** Its line in a JSON-lines file, or its number in a JSON list, from 1. */
  readonly line: number;
  /** Begins sentences about it: file and line. */
  readonly where: string;
  /** What the file calls it, or `line N`. */
  readonly id: string;
  readonly messages: readonly ChatMessage[];
}

export interface ReadTranscriptsOptions {
  /** Takes what is wrong with a conversation, which is then left out; by default the first fault is thrown. */
  readonly onBad?: ((error: DataError) => void) | undefined;
}

/**
 * Reads conversations, as JSON lines or a JSON list, of three layouts: OpenAI's `messages`, ShareGPT's `conversations`,
 * and the `conversation` of assistant-axis transcripts. A file that holds one transcript object, or one list of messages, is
 * one conversation.
 *
 * @throws DataError naming the line of what is no conversation: invalid JSON, unknown roles, tool calls, no text.
 */
export async function* readTranscripts(
  file: string,
  { onBad }: ReadTranscriptsOptions = {},
): AsyncGenerator<Transcript> {
  for await (const { line, value } of valuesOf(file, onBad)) {
    const where = `"${file}", line ${line}`;
    try {
      yield { line, where, id: idOf(value) ?? `line ${line}`, messages: messagesOf(value, where) };
    } catch (error) {
      if (!(error instanceof DataError) || onBad === undefined) throw error;
      onBad(error);
    }
  }
}

interface Numbered {
  readonly line: number;
  readonly value: unknown;
}

async function* valuesOf(file: string, onBad: ReadTranscriptsOptions['onBad']): AsyncGenerator<Numbered> {
  if (!file.endsWith('.json')) {
    yield* readJsonl(file, z.unknown(), undefined, onBad);
    return;
  }
  const value = await readUserJson(file);
  const isList = Array.isArray(value) && !value.some((entry) => isObject(entry) && 'role' in entry);
  for (const [i, entry] of (isList ? value : [value]).entries()) yield { line: i + 1, value: entry };
}

function idOf(value: unknown): string | null {
  if (!isObject(value)) return null;
  const id = value['id'] ?? value['conversation_id'] ?? value['conversation_hash'];
  return typeof id === 'string' || typeof id === 'number' ? String(id) : null;
}

const textPart = z.object({ type: z.literal('text'), text: z.string() });
const content = z.union(
  [z.string(), z.array(textPart).transform((parts) => parts.map(({ text }) => text).join(''))],
  'expected a text',
);
// Logs of an API bring further keys a message, which say nothing about its text.
const openAiMessage = z
  .object({ role: z.string(), content: z.unknown() })
  .transform(({ role, content: text }) => ({ role, text }));
const shareGptMessage = z
  .object({ from: z.string(), value: z.unknown() })
  .transform(({ from, value }) => ({ role: from, text: value }));
const messageList = z
  .array(z.union([openAiMessage, shareGptMessage]))
  .min(1, 'expected at least one message');

const roles: Readonly<Record<string, ChatRole>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  tool: 'tool',
  observation: 'tool',
};

/** The messages of a line; a system text of ShareGPT's or assistant-axis's stands beside them. */
function messagesOf(value: unknown, where: string): ChatMessage[] {
  const list = Array.isArray(value) ? value : listOf(value);
  if (list === null)
    throw new DataError(
      `${where}: expected "messages" (OpenAI), "conversations" (ShareGPT) or "conversation" (assistant-axis), got none of them.`,
      { details: { where } },
    );
  checkToolCalls(list, where);
  const messages = parseStrict(messageList, list, where).map(({ role: name, text }, i): ChatMessage => {
    const role = roles[name];
    if (role === undefined)
      throw new DataError(
        `${where}: expected message ${i + 1} to be of one of the roles ${Object.keys(roles).join(', ')}, got ${JSON.stringify(name.slice(0, 64))}.`,
        { details: { where, message: i + 1 } },
      );
    return { role, content: parseStrict(content, text, `${where}, message ${i + 1}`) };
  });
  const system = isObject(value) ? (value['system'] ?? value['system_prompt']) : undefined;
  const has = typeof system === 'string' && system !== '' && messages[0]!.role !== 'system';
  return has ? [{ role: 'system', content: system }, ...messages] : messages;
}

function listOf(value: unknown): unknown[] | null {
  if (!isObject(value)) return null;
  const list = value['messages'] ?? value['conversations'] ?? value['conversation'];
  return Array.isArray(list) ? list : null;
}

/** Said before the schema speaks, whose union would say that no form fits. */
function checkToolCalls(list: readonly unknown[], where: string): void {
  const index = list.findIndex(
    (message) => isObject(message) && (hasItems(message['tool_calls']) || isObject(message['function_call'])),
  );
  if (index >= 0)
    throw new DataError(
      `${where}: expected message ${index + 1} to be text, got tool calls, whose text only the template that wrote them knows; leave the conversation out.`,
      { details: { where, message: index + 1 } },
    );
}

function hasItems(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
