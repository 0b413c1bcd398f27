import { z } from 'zod';
import { DataError } from '../errors.ts';
import type { ChatMessage, ChatRole } from '../model/chat-template.ts';
import { isObject, parseStrict, refuseMisspeltKeys } from '../store/strict-json.ts';

/** How the rows of a file are laid out; a file has one layout. */
export const rowLayouts = ['messages', 'conversations', 'ids', 'prompt'] as const;
export type RowLayout = (typeof rowLayouts)[number];

/** A conversation to train on; `trained` says of every message whether it is a reply that counts. */
export interface ConversationRow {
  readonly kind: 'conversation';
  readonly messages: readonly ChatMessage[];
  readonly trained: readonly boolean[];
}

/** A row that was tokenised elsewhere. */
export interface TokenRow {
  readonly kind: 'tokens';
  readonly ids: readonly number[];
  readonly responseStart: number;
  /** `[ids.length]`, or null for 1 on the response and the prompt's weight before it. */
  readonly weights: readonly number[] | null;
}

/** Raw text for a base model: the answer is trained on. */
export interface TextRow {
  readonly kind: 'text';
  readonly prompt: string;
  readonly answer: string;
}

/** A line of any layout. */
export type ParsedRow = ConversationRow | TokenRow | TextRow;

/** Which layout a line has; null for none of them. */
export function layoutOf(value: unknown): RowLayout | null {
  if (!isObject(value)) return null;
  return rowLayouts.find((layout) => layout in value) ?? null;
}

/**
 * Reads a line of a known layout; `where` begins the sentence of an error. Further columns, which data sets have, are
 * left alone unless one looks like a slip for a key of the layout.
 *
 * @throws DataError for messages that are empty, of an unknown role or in an order that cannot be trained on.
 */
export function parseRow(value: unknown, layout: RowLayout, where: string): ParsedRow {
  switch (layout) {
    case 'messages':
      return conversation(parseStrict(messagesRow, value, where).messages.map(fromOpenAi), where);
    case 'conversations':
      return conversation(fromShareGpt(parseStrict(conversationsRow, value, where)), where);
    case 'ids':
      return tokens(value, where);
    case 'prompt':
      refuseMisspeltKeys(value as object, ['prompt', 'answer'], where);
      return { kind: 'text', ...parseStrict(textRow, value, where) };
    default:
      return layout satisfies never;
  }
}

interface Turn extends ChatMessage {
  readonly trained: boolean;
}

const toolCalls = z
  .array(z.unknown())
  .max(0, 'expected no tool calls, which are not trained on')
  .nullable()
  .exactOptional();
const messagesRow = z.object({
  messages: z
    .array(
      z.strictObject({
        role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
        content: z.string(),
        weight: z.union([z.literal(0), z.literal(1)]).exactOptional(),
        name: z.string().nullable().exactOptional(),
        tool_calls: toolCalls,
        tool_call_id: z.string().nullable().exactOptional(),
      }),
    )
    .min(1, 'expected at least one message'),
});
type OpenAiMessage = z.infer<typeof messagesRow>['messages'][number];

const conversationsRow = z.object({
  conversations: z
    .array(
      z.strictObject({
        from: z.enum(['human', 'user', 'gpt', 'assistant', 'system', 'observation', 'tool']),
        value: z.string(),
        weight: z.union([z.literal(0), z.literal(1), z.null()]).exactOptional(),
      }),
    )
    .min(1, 'expected at least one message'),
  system: z.string().nullable().exactOptional(),
});

function fromOpenAi({ role, content, weight }: OpenAiMessage): Turn {
  return {
    role: role === 'developer' ? 'system' : role,
    content,
    trained: role === 'assistant' && weight !== 0,
  };
}

const shareGptRoles: Readonly<Record<string, ChatRole>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  system: 'system',
  observation: 'tool',
  tool: 'tool',
};

function fromShareGpt({ conversations, system }: z.infer<typeof conversationsRow>): Turn[] {
  const turns = conversations.map(({ from, value, weight }): Turn => {
    const role = shareGptRoles[from]!;
    return { role, content: value, trained: role === 'assistant' && weight !== 0 };
  });
  if (typeof system !== 'string' || system === '') return turns;
  return [{ role: 'system', content: system, trained: false }, ...turns];
}

/** Checks what no template says clearly. */
function conversation(turns: readonly Turn[], where: string): ConversationRow {
  const refuse = (problem: string): never => {
    throw new DataError(`${where}: ${problem}.`, { details: { where } });
  };
  for (const [i, { role, content }] of turns.entries()) {
    if (role === 'system' && i > 0)
      refuse(`expected the system message to come first, got one as message ${i + 1}; move it to the front`);
    if (role !== 'system' && content.trim() === '')
      refuse(
        `expected message ${i + 1} (${role}) to say something, got an empty text; remove the row or fill it`,
      );
  }
  const last = turns.at(-1)!;
  if (last.role !== 'assistant')
    refuse(
      `expected the last message to be the assistant's, got role "${last.role}"; end the conversation with a reply`,
    );
  return {
    kind: 'conversation',
    messages: turns.map(({ role, content }) => ({ role, content })),
    trained: turns.map(({ trained }) => trained),
  };
}

const textRow = z.object({
  prompt: z.string(),
  answer: z.string().min(1, 'expected some text, got none'),
});

const tokenRow = z.object({
  ids: z.array(z.int().min(0)).min(1, 'expected at least one token'),
  response_start: z.int().min(0).exactOptional(),
  weights: z.array(z.number().min(0)).exactOptional(),
});

function tokens(value: unknown, where: string): TokenRow {
  refuseMisspeltKeys(value as object, ['ids', 'response_start', 'weights'], where);
  const { ids, response_start: start, weights = null } = parseStrict(tokenRow, value, where);
  const refuse = (problem: string): never => {
    throw new DataError(`${where}: ${problem}.`, { details: { where } });
  };
  if (start === undefined && weights === null)
    return refuse(
      'expected "response_start", the index of the first response token, or "weights" beside "ids"',
    );
  if (start !== undefined && start > ids.length)
    return refuse(`expected "response_start" of at most ${ids.length} (the row's length), got ${start}`);
  if (weights !== null && weights.length !== ids.length)
    return refuse(`expected ${ids.length} "weights", one a token, got ${weights.length}`);
  const first = weights?.findIndex((weight, i) => i > 0 && weight > 0) ?? 0;
  return { kind: 'tokens', ids, weights, responseStart: start ?? (first < 0 ? ids.length : first) };
}
