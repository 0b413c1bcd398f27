import { DataError } from '../../errors.ts';
import type { ChatMessage } from '../../model/chat-template.ts';
import { encodeTurns } from '../../model/chat-turns.ts';
import type { ChatOptions } from '../../model/chat.ts';
import { type ThinkTokens, ThoughtTracker, thinkTokensOf } from '../../model/thinking.ts';
import type { PromptParts } from '../prompt.ts';

/**
 * The token whose state is read before a reply: the prompt's last, or, where the model thinks first, the one that ends the
 * thought, since a long thought separates the prompt from the answer.
 */
export type DecidedAt = 'prompt_last' | 'think_end';

/** One reply within a row of tokens. */
export interface TurnSpan {
  /** Index of its message, from 0. */
  readonly message: number;
  /** Index of the token whose state is read before the reply. */
  readonly decided: number;
  readonly decidedAt: DecidedAt;
  /** Its words are tokens `start` … `end` − 1, without the token that ends the turn and without thoughts. */
  readonly start: number;
  readonly end: number;
  /** Whether the conversation ends before it: there is a state to read, and no word yet. */
  readonly pending: boolean;
}

/** Tokens to project, and where in them replies are. */
export interface ProjectionRow {
  readonly ids: readonly number[];
  readonly turns: readonly TurnSpan[];
}

/** A prompt and one reply as a row. A reply may be empty. */
export function toProjectionRow(
  ids: readonly number[],
  responseStart: number,
  thinkTokens: ThinkTokens | null,
): ProjectionRow {
  const span = { message: 0, start: responseStart, wordsEnd: ids.length };
  return { ids, turns: [turnSpan(ids, span, thinkTokens)] };
}

/**
 * A conversation as one row, all its replies in it. One that does not end with a reply has a last turn that is pending:
 * the state in which the model would begin to answer.
 *
 * @throws DataError for messages that are malformed, empty, or refused by the template; ModelError for a model without a
 *   tokenizer or template.
 */
export function encodeConversationRow(
  parts: PromptParts,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): ProjectionRow {
  checkWords(messages);
  const pending = messages.at(-1)?.role !== 'assistant';
  // An empty reply shows where the next one would begin; what stands behind that is cut off.
  const whole: readonly ChatMessage[] = pending
    ? [...messages, { role: 'assistant', content: '' }]
    : messages;
  const { ids, replies } = encodeTurns(parts, whole, options);
  const thinkTokens = thinkTokensOf(parts.tokenizer);
  const turns = replies.map((reply) => turnSpan(ids, reply, thinkTokens));
  if (!pending) return { ids, turns };
  const last = turns.at(-1)!;
  return {
    ids: ids.slice(0, last.start),
    turns: [...turns.slice(0, -1), { ...last, end: last.start, pending }],
  };
}

function turnSpan(
  ids: readonly number[],
  reply: { readonly message: number; readonly start: number; readonly wordsEnd: number },
  thinkTokens: ThinkTokens | null,
): TurnSpan {
  const { message, start, wordsEnd } = reply;
  const thoughtEnd = thinkTokens === null ? start : endOfThought(ids, start, wordsEnd, thinkTokens);
  const thinks = thoughtEnd > start;
  return {
    message,
    decided: thoughtEnd - 1,
    decidedAt: thinks ? 'think_end' : 'prompt_last',
    start: thoughtEnd,
    end: wordsEnd,
    pending: false,
  };
}

/** Index behind the thought that a reply begins with; its beginning where it has none. */
function endOfThought(ids: readonly number[], start: number, end: number, tokens: ThinkTokens): number {
  const tracker = new ThoughtTracker(tokens, ids.slice(0, start));
  for (let i = start; i < end; i++) if (!tracker.push(ids[i]!)) return i;
  return end;
}

/** Templates take empty messages without a word, and no reply of nothing has a mean. */
function checkWords(messages: readonly ChatMessage[]): void {
  if (messages.length === 0)
    throw new DataError('Expected a conversation of at least one message, got none.');
  const empty = messages.findIndex(({ role, content }) => role !== 'system' && content.trim() === '');
  if (empty >= 0)
    throw new DataError(
      `Expected message ${empty + 1} (${messages[empty]!.role}) to say something, got an empty text; fill it or leave the conversation out.`,
      { details: { message: empty + 1 } },
    );
  const late = messages.findIndex(({ role }, i) => role === 'system' && i > 0);
  if (late >= 0)
    throw new DataError(
      `Expected the system message to come first, got one as message ${late + 1}; move it to the front.`,
      { details: { message: late + 1 } },
    );
}
