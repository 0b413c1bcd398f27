import { z } from 'zod';
import { DataError } from '../../errors.ts';
import type { ChatMessage, ChatRole } from '../../model/chat-template.ts';
import { isObject, parseStrict, refuseMisspeltKeys } from '../strict-json.ts';

/**
 * How the rows of a file are laid out, each named by the column that tells it; a file has one layout: OpenAI's `messages`,
 * ShareGPT's `conversations`, `conversation` of LMSYS-Chat-1M and WildChat-1M, Alpaca's `instruction`, `ids` of tokens, and
 * `prompt` with `answer`.
 */
export const rowLayouts = [
  'messages',
  'conversations',
  'conversation',
  'instruction',
  'ids',
  'prompt',
] as const;
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
 * @param promptAlone Whether a row of tokens or of raw text may be a prompt without a response.
 * @throws DataError for messages that are empty, of an unknown role or in an order that cannot be trained on.
 */
export function parseRow(
  value: unknown,
  layout: RowLayout,
  where: string,
  { promptAlone = false }: { readonly promptAlone?: boolean } = {},
): ParsedRow {
  if (layout === 'ids') return tokens(value, where, promptAlone);
  if (layout === 'prompt') return { kind: 'text', ...parsePair(value, where, promptAlone) };
  return conversation(parseTurns(value, layout, where), where);
}

/**
 * The turns of a row that is a conversation, or a pair of texts, which is one of two turns. Nothing is said of their order.
 *
 * @throws DataError for a row that is not of the layout, or of ids, which have no turns.
 */
export function parseTurns(value: unknown, layout: RowLayout, where: string): readonly Turn[] {
  switch (layout) {
    case 'messages':
      return parseStrict(messagesRow, value, where).messages.map(fromOpenAi);
    case 'conversations':
      return fromShareGpt(parseStrict(conversationsRow, value, where));
    case 'conversation':
      return parseStrict(conversationRow, value, where).conversation.map(fromOpenAi);
    case 'instruction':
      return fromAlpaca(parseAlpaca(value, where));
    case 'prompt': {
      const { prompt, answer } = parsePair(value, where, false);
      return [turn('user', prompt), turn('assistant', answer)];
    }
    case 'ids':
      throw new DataError(
        `${where}: expected text, got "ids" of tokens; give conversations or pairs of text.`,
      );
    default:
      return layout satisfies never;
  }
}

/** A message, and whether it is a reply that counts. */
export interface Turn extends ChatMessage {
  readonly trained: boolean;
}

/** Text, or a list of parts that are text alone; their texts are joined. */
const text = z.union([
  z.string(),
  z
    .array(
      z.union([
        z.object({ type: z.literal('text'), text: z.string() }),
        z.object({ type: z.literal('text'), value: z.string() }),
      ]),
    )
    .transform((parts) => parts.map((part) => ('text' in part ? part.text : part.value)).join('')),
]);
const roles = z.enum(['system', 'developer', 'user', 'assistant', 'tool']);

const toolCalls = z
  .array(z.unknown())
  .max(0, 'expected no tool calls, which are not trained on')
  .nullable()
  .exactOptional();
const messagesRow = z.object({
  messages: z
    .array(
      z.strictObject({
        role: roles,
        content: text,
        weight: z.union([z.literal(0), z.literal(1)]).exactOptional(),
        loss_weight: z.number().min(0).exactOptional(),
        name: z.string().nullable().exactOptional(),
        tool_calls: toolCalls,
        tool_call_id: z.string().nullable().exactOptional(),
      }),
    )
    .min(1, 'expected at least one message'),
});
interface OpenAiMessage {
  readonly role: z.infer<typeof roles>;
  readonly content: string;
  readonly weight?: 0 | 1;
  readonly loss_weight?: number;
}

/** What real chats were logged as: their messages have a dozen further keys. */
const conversationRow = z.object({
  conversation: z
    .array(z.object({ role: roles, content: z.string() }))
    .min(1, 'expected at least one message'),
});

const alpacaRow = z.object({
  instruction: z.string(),
  input: z.string().nullable().exactOptional(),
  output: z.string(),
  system: z.string().nullable().exactOptional(),
  history: z
    .array(z.tuple([z.string(), z.string()]))
    .nullable()
    .exactOptional(),
});

function parseAlpaca(value: unknown, where: string): z.infer<typeof alpacaRow> {
  refuseMisspeltKeys(value as object, ['instruction', 'output'], where);
  return parseStrict(alpacaRow, value, where);
}

/** The input goes below the instruction, as trainers of such files do; earlier questions and answers go first. */
function fromAlpaca({ instruction, input, output, system, history }: z.infer<typeof alpacaRow>): Turn[] {
  const before = (history ?? []).flatMap(([question, answer]) => [
    turn('user', question),
    turn('assistant', answer),
  ]);
  const question = typeof input === 'string' && input !== '' ? `${instruction}\n${input}` : instruction;
  return withSystem(system, [...before, turn('user', question), turn('assistant', output)]);
}

function turn(role: ChatRole, content: string): Turn {
  return { role, content, trained: role === 'assistant' };
}

function withSystem(system: string | null | undefined, turns: readonly Turn[]): Turn[] {
  return typeof system === 'string' && system !== '' ? [turn('system', system), ...turns] : [...turns];
}

const conversationsRow = z.object({
  conversations: z
    .array(
      z.strictObject({
        from: z.enum(['human', 'user', 'gpt', 'assistant', 'function_call', 'system', 'observation', 'tool']),
        value: z.string(),
        weight: z.union([z.literal(0), z.literal(1), z.null()]).exactOptional(),
      }),
    )
    .min(1, 'expected at least one message'),
  system: z.string().nullable().exactOptional(),
});

function fromOpenAi({ role, content, weight, loss_weight: lossWeight }: OpenAiMessage): Turn {
  return {
    role: role === 'developer' ? 'system' : role,
    content,
    trained: role === 'assistant' && weight !== 0 && lossWeight !== 0,
  };
}

const shareGptRoles: Readonly<Record<string, ChatRole>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  function_call: 'assistant',
  system: 'system',
  observation: 'tool',
  tool: 'tool',
};

function fromShareGpt({ conversations, system }: z.infer<typeof conversationsRow>): Turn[] {
  const turns = conversations.map(({ from, value, weight }): Turn => {
    const role = shareGptRoles[from]!;
    return { role, content: value, trained: role === 'assistant' && weight !== 0 };
  });
  return withSystem(system, turns);
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

function parsePair(value: unknown, where: string, promptAlone: boolean): z.infer<typeof promptRow> {
  refuseMisspeltKeys(value as object, ['prompt', 'answer'], where);
  return parseStrict(promptAlone ? promptRow : textRow, value, where);
}

const promptRow = z.object({ prompt: z.string(), answer: z.string() });
const textRow = promptRow.extend({ answer: z.string().min(1, 'expected some text, got none') });

const tokenRow = z.object({
  ids: z.array(z.int().min(0)).min(1, 'expected at least one token'),
  response_start: z.int().min(0).exactOptional(),
  weights: z.array(z.number().min(0)).exactOptional(),
});

function tokens(value: unknown, where: string, promptAlone: boolean): TokenRow {
  refuseMisspeltKeys(value as object, ['ids', 'response_start', 'weights'], where);
  const { ids, response_start: start, weights = null } = parseStrict(tokenRow, value, where);
  const refuse = (problem: string): never => {
    throw new DataError(`${where}: ${problem}.`, { details: { where } });
  };
  if (start === undefined && weights === null && !promptAlone)
    return refuse(
      'expected "response_start", the index of the first response token, or "weights" beside "ids"',
    );
  if (start !== undefined && start > ids.length)
    return refuse(`expected "response_start" of at most ${ids.length} (the row's length), got ${start}`);
  if (weights !== null && weights.length !== ids.length)
    return refuse(`expected ${ids.length} "weights", one a token, got ${weights.length}`);
  // Without either, all of it is a prompt.
  const first = weights?.findIndex((weight, i) => i > 0 && weight > 0) ?? -1;
  return { kind: 'tokens', ids, weights, responseStart: start ?? (first < 0 ? ids.length : first) };
}
