import {
  checkMessages,
  encodeMarked,
  encodeReply,
  guardMessage,
  renderWithSystem,
  requireChat,
  unusedCharacter,
} from './chat.ts';
import type { ChatOptions, ChatParts, Rendered } from './chat.ts';
import type { ChatMessage } from './chat-template.ts';
import { splitAtSpellings } from './spellings.ts';
import type { TextTokenizer } from './tokenizer.ts';
import { DataError } from '../errors.ts';

/** Where the tokens of one reply stand: its words, and the token that ends its turn where the template has one. */
export interface ReplySpan {
  /** Index of the message, from 0. */
  readonly message: number;
  readonly start: number;
  /** Behind the last token. */
  readonly end: number;
  /** Behind the last of its words: `end`, less the token that ends the turn. */
  readonly wordsEnd: number;
}

export interface EncodedTurns {
  readonly ids: number[];
  /** In order, one for each of the assistant's messages. */
  readonly replies: readonly ReplySpan[];
  readonly systemMerged: boolean;
}

/**
 * Ids of a whole conversation, its last message the assistant's, and where in them every reply stands. What a reply
 * consists of is found by marking the messages before the template renders them, never by looking for strings in the
 * result: a reply is its message's tokens and all up to the token that ends the turn (`<|im_end|>`, `</s>`), which a model
 * must learn to say. What the template puts behind that token, such as a line break, is no part of it, because
 * generation stops there.
 *
 * A reply is tokenised apart from what stands before it, as in `encodeConversation`: the ids before it are the prompt
 * that the model would be given.
 *
 * @throws as `encodeConversation`; DataError where the template rewrites the replies so that they cannot be found.
 */
export function encodeTurns(
  parts: ChatParts,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): EncodedTurns {
  const { tokenizer, chatTemplate } = requireChat(parts);
  checkMessages(messages);
  const last = messages.at(-1)!;
  if (last.role !== 'assistant')
    throw new DataError(
      `Expected the last message to be the assistant's, got role "${last.role}"; end the conversation with a reply.`,
    );
  const texts = [chatTemplate.source, JSON.stringify([messages, options.templateVariables])];
  const marker = unusedCharacter(texts);
  const open = unusedCharacter([...texts, marker]);
  const close = unusedCharacter([...texts, marker, open]);
  const guarded = messages.map((message) => guardMessage(message, tokenizer, marker));
  const render = (given: readonly ChatMessage[], addGenerationPrompt = false): Rendered =>
    renderWithSystem(chatTemplate, given, { ...options, addGenerationPrompt });
  const { rendered, systemMerged } = render(guarded);
  const located =
    markReplies(guarded, rendered, { open, close, render }) ??
    prefixReplies(guarded, rendered, { tokenizer, render });
  return { ...encodeLocated(rendered, located, { tokenizer, marker }), systemMerged };
}

/** Where a reply stands in the rendering. */
interface LocatedReply {
  readonly message: number;
  readonly start: number;
  readonly end: number;
  /** The words are the message's own, rather than what the template made of them. */
  readonly verbatim: boolean;
}

interface Marking {
  readonly open: string;
  readonly close: string;
  readonly render: (messages: readonly ChatMessage[]) => Rendered;
}

/**
 * Renders with marks around the replies; null where the template makes something else of marked replies. The marks go
 * outside the white space around a reply first, then inside it, for templates that trim.
 */
function markReplies(
  messages: readonly ChatMessage[],
  rendered: string,
  { open, close, render }: Marking,
): LocatedReply[] | null {
  const outside = (text: string): string => open + text + close;
  const inside = (text: string): string => {
    const [start, end] = [text.length - text.trimStart().length, text.trimEnd().length];
    return start > end
      ? text
      : text.slice(0, start) + open + text.slice(start, end) + close + text.slice(end);
  };
  for (const mark of [outside, inside]) {
    const marked = messages.map(({ role, content }) => ({
      role,
      content: role === 'assistant' ? mark(content) : content,
    }));
    const found = readMarks(renderOrNull(marked, render), rendered, { open, close });
    const replies = messages.flatMap(({ role }, index) => (role === 'assistant' ? [index] : []));
    if (found?.length === replies.length)
      return found.map(({ start, end }, i) => ({ message: replies[i]!, start, end, verbatim: true }));
  }
  return null;
}

/** A template may refuse what is marked. */
function renderOrNull(messages: readonly ChatMessage[], render: Marking['render']): string | null {
  try {
    return render(messages).rendered;
  } catch (error) {
    if (error instanceof DataError) return null;
    throw error;
  }
}

/** Places between the marks, counted without them; null unless the rest is the rendering without marks. */
function readMarks(
  marked: string | null,
  rendered: string,
  { open, close }: Pick<Marking, 'open' | 'close'>,
): { start: number; end: number }[] | null {
  if (marked === null) return null;
  const spans: { start: number; end: number }[] = [];
  let text = '';
  for (const [index, piece] of marked.split(open).entries()) {
    const [words, behind, ...more] = piece.split(close);
    if (more.length > 0 || (index === 0) !== (behind === undefined)) return null;
    if (behind !== undefined) spans.push({ start: text.length, end: text.length + words!.length });
    text += words! + (behind ?? '');
  }
  return text === rendered ? spans : null;
}

interface PrefixScene {
  readonly tokenizer: TextTokenizer;
  readonly render: (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => Rendered;
}

/**
 * For templates that take replies apart, such as those that drop a thinking part: a reply begins where the prompt before
 * it ends, if the whole begins with that prompt, and ends at its turn's last special token.
 */
function prefixReplies(
  messages: readonly ChatMessage[],
  rendered: string,
  { tokenizer, render }: PrefixScene,
): LocatedReply[] {
  return messages.flatMap(({ role }, message) => {
    if (role !== 'assistant') return [];
    const prompt = render(messages.slice(0, message), true).rendered;
    const through = render(messages.slice(0, message + 1), false).rendered;
    if (!rendered.startsWith(prompt) || !rendered.startsWith(through) || through.length < prompt.length)
      throw new DataError(
        `Expected the chat template to show reply ${message + 1} after its prompt, but it rewrites it once more messages follow; split the conversation, or leave thinking parts out of earlier replies.`,
        { details: { message: message + 1 } },
      );
    const end = closingPlace(through, prompt.length, tokenizer);
    return [{ message, start: prompt.length, end, verbatim: false }];
  });
}

/** Where the last special token of a turn begins: what stands before it is the reply. */
function closingPlace(through: string, start: number, tokenizer: TextTokenizer): number {
  const special = tokenizer.addedTokens.filter((token) => token.special);
  const pieces = splitAtSpellings(through.slice(start), special);
  const closing = pieces.findLastIndex((piece) => typeof piece !== 'string');
  if (closing < 0) return through.length;
  const before = pieces.slice(0, closing);
  return (
    start + before.reduce((sum, piece) => sum + (typeof piece === 'string' ? piece : piece.content).length, 0)
  );
}

interface Encoder {
  readonly tokenizer: TextTokenizer;
  readonly marker: string;
}

function encodeLocated(
  rendered: string,
  located: readonly LocatedReply[],
  encoder: Encoder,
): Pick<EncodedTurns, 'ids' | 'replies'> {
  const { tokenizer, marker } = encoder;
  const ids: number[] = [];
  // One by one: a hundred thousand ids are more arguments than a call takes.
  const add = (more: readonly number[]): void => more.forEach((id) => ids.push(id));
  const replies: Omit<ReplySpan, 'wordsEnd'>[] = [];
  const endToken = firstControl(rendered.slice(located.at(-1)!.end), tokenizer);
  for (const [i, reply] of located.entries()) {
    const before = located[i - 1];
    const template = rendered.slice(before?.end ?? 0, reply.start);
    add(encodeMarked(template, tokenizer, marker, i > 0));
    const start = ids.length;
    const words = rendered.slice(reply.start, reply.end);
    add(
      reply.verbatim
        ? encodeReply(tokenizer, words.replaceAll(marker, ''))
        : encodeMarked(words, tokenizer, marker, true),
    );
    replies.push({ message: reply.message, start, end: ids.length });
  }
  add(encodeMarked(rendered.slice(located.at(-1)!.end), tokenizer, marker, true));
  const controls = new Set(tokenizer.controlTokens.map(({ id }) => id));
  const closed = replies.map((span, i) =>
    closeReply(span, ids, { next: replies[i + 1]?.start ?? ids.length, endToken, controls }),
  );
  return { ids, replies: closed };
}

/** The first control token that a text spells, or null. */
function firstControl(text: string, tokenizer: TextTokenizer): number | null {
  const token = splitAtSpellings(text, tokenizer.controlTokens).find((piece) => typeof piece !== 'string');
  return token?.id ?? null;
}

/** Moves the end of a reply behind the token that ends its turn, if that is the next control token. */
function closeReply(
  span: Omit<ReplySpan, 'wordsEnd'>,
  ids: readonly number[],
  { next, endToken, controls }: { next: number; endToken: number | null; controls: ReadonlySet<number> },
): ReplySpan {
  const from = span.end;
  const place = ids.findIndex((id, i) => i >= from && i < next && controls.has(id));
  return place >= 0 && ids[place] === endToken
    ? { ...span, end: place + 1, wordsEnd: span.end }
    : { ...span, wordsEnd: span.end };
}
