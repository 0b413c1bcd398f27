import { chatRoles } from './chat-template.ts';
import type { ChatMessage, ChatTemplate, TemplateVariables } from './chat-template.ts';
import { breakSpellings, splitAtSpellings } from './spellings.ts';
import type { TextTokenizer } from './tokenizer.ts';
import { DataError, ModelError } from '../errors.ts';

/** What of a checkpoint turns conversations into tokens. */
export interface ChatParts {
  readonly tokenizer: TextTokenizer | null;
  readonly chatTemplate: ChatTemplate | null;
}

export interface ChatOptions {
  /** Variables of the template, such as `{ enable_thinking: false }`. */
  readonly templateVariables?: TemplateVariables;
  /** What templates that print the date are told; default: a fixed day. */
  readonly now?: Date;
}

export interface EncodeChatOptions extends ChatOptions {
  /** Whether the ids end with the opening of an assistant turn; default true. */
  readonly addGenerationPrompt?: boolean;
}

export interface EncodedChat {
  readonly ids: number[];
  /** Whether the system message was put before the first user message, because the template takes none. */
  readonly systemMerged: boolean;
}

export interface EncodedConversation extends EncodedChat {
  /** Index of the reply's first token; the row's length where the reply is empty. */
  readonly responseStart: number;
}

/**
 * Ids of a conversation as the model's template renders it. What a message says stays text: a user who spells
 * `<|im_end|>` ends no turn. Without such spellings the ids are those of the rendering encoded as a whole.
 *
 * A template that refuses or drops a system message gets it before the first user message, after which a blank line
 * follows.
 *
 * @throws DataError for messages that are malformed or that the template refuses; ModelError for a model without tokenizer
 *   or template, and as `ChatTemplate.render`.
 */
export function encodeChat(
  parts: ChatParts,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions = {},
): EncodedChat {
  const { tokenizer, chatTemplate } = requireChat(parts);
  checkMessages(messages);
  const marker = unusedCharacter([
    chatTemplate.source,
    JSON.stringify([messages, options.templateVariables]),
  ]);
  const guarded = messages.map((message) => guardMessage(message, tokenizer, marker));
  const { rendered, systemMerged } = renderWithSystem(chatTemplate, guarded, options);
  return { ids: encodeMarked(rendered, tokenizer, marker), systemMerged };
}

/**
 * Ids of a conversation whose last message is the assistant's reply: the prompt, then the reply's own tokens. The two are
 * never tokenised together, so the prompt's ids are those that the reply was generated from, and no end-of-turn token
 * follows. The reply keeps its special tokens as text, while `<think>` and its like are tokens.
 *
 * @throws as `encodeChat`; DataError where the last message is not the assistant's.
 */
export function encodeConversation(
  parts: ChatParts,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): EncodedConversation {
  const { tokenizer } = requireChat(parts);
  checkMessages(messages);
  const reply = messages.at(-1);
  if (reply?.role !== 'assistant')
    throw new DataError(
      `Expected the last message to be the assistant's reply, got role "${reply?.role ?? 'none'}"; end the conversation with it.`,
    );
  const prompt = encodeChat(parts, messages.slice(0, -1), { ...options, addGenerationPrompt: true });
  const ids = [...prompt.ids, ...encodeReply(tokenizer, reply.content)];
  return { ids, responseStart: prompt.ids.length, systemMerged: prompt.systemMerged };
}

/** Ids of an assistant's words alone: special tokens stay text, other added tokens such as `<think>` are parsed. */
export function encodeReply(tokenizer: TextTokenizer, reply: string): number[] {
  const parsed = tokenizer.controlTokens.filter(({ special }) => !special);
  return tokenizer.encodePieces(splitAtSpellings(reply, parsed));
}

/**
 * Ids of raw text as the model is to see it: control tokens are parsed, and BOS goes first where the tokenizer adds one,
 * unless the text spells it already, as templated text does.
 */
export function encodeRawPrompt(tokenizer: TextTokenizer, text: string): number[] {
  const ids = tokenizer.encodePrompt(text);
  const [first, second] = ids;
  const doubled = first !== undefined && first === second && tokenizer.isSpecial(first);
  return doubled ? ids.slice(1) : ids;
}

/**
 * Ids of a prompt for a base model: a plain template such as `{system} {question}` with its slots filled, after BOS where
 * the tokenizer adds one. The template may spell control tokens; what fills the slots stays text. A slot that is filled
 * with nothing goes together with the white space after it (at the end: before it).
 *
 * @throws DataError for a template with unknown slots or without `{question}`.
 */
export function encodePlain(
  tokenizer: TextTokenizer,
  template: string,
  slots: { readonly system: string; readonly question: string },
): number[] {
  const marker = unusedCharacter([template, slots.system, slots.question]);
  const guardText = (text: string): string => breakSpellings(text, tokenizer.controlTokens, marker);
  const filled = fillPlain(template, {
    system: guardText(slots.system),
    question: guardText(slots.question),
  });
  return [...tokenizer.encodePrompt(''), ...encodeMarked(filled, tokenizer, marker)];
}

/** The text of a plain prompt; see `encodePlain`. */
export function fillPlain(
  template: string,
  slots: { readonly system: string; readonly question: string },
): string {
  for (const [slot, name] of template.matchAll(/\{([a-z_]*)\}/g))
    if (name !== 'system' && name !== 'question')
      throw new DataError(
        `A plain template has the slots {system} and {question}, got "${slot}"; correct the template.`,
        { details: { template } },
      );
  if (!template.includes('{question}'))
    throw new DataError(
      `Expected a plain template with the slot {question}, got ${JSON.stringify(template)}.`,
      {
        details: { template },
      },
    );
  const filled = template.replace(
    /\{(system|question)\}(\s*)/g,
    (_, name: 'system' | 'question', space: string) => (slots[name] === '' ? '' : slots[name] + space),
  );
  const lastSlot = /\{(system|question)\}\s*$/.exec(template)?.[1];
  return (lastSlot === 'system' || lastSlot === 'question') && slots[lastSlot] === ''
    ? filled.trimEnd()
    : filled;
}

/** The two parts, both there; ModelError where one is missing. */
export function requireChat(parts: ChatParts): { tokenizer: TextTokenizer; chatTemplate: ChatTemplate } {
  const { tokenizer, chatTemplate } = parts;
  if (tokenizer === null)
    throw new ModelError(
      'This model has no tokenizer.json, so that text cannot be turned into tokens; give ids.',
    );
  if (chatTemplate === null)
    throw new ModelError(
      'This model has no chat template; give it a prompt instead of messages, or use a chat model.',
    );
  return { tokenizer, chatTemplate };
}

/** DataError for a list that is no conversation. */
export function checkMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages) || messages.length === 0)
    throw new DataError('Expected a list of at least one message, got none.');
  for (const [index, message] of (messages as readonly unknown[]).entries()) {
    const problem = messageProblem(message);
    if (problem !== null)
      throw new DataError(`Message ${index + 1} of ${messages.length}: ${problem}.`, {
        details: { message: index + 1 },
      });
  }
}

function messageProblem(message: unknown): string | null {
  if (typeof message !== 'object' || message === null) return 'expected an object with "role" and "content"';
  const { role, content } = message as Partial<Record<'role' | 'content', unknown>>;
  if (!(chatRoles as readonly unknown[]).includes(role))
    return `expected "role" to be one of ${chatRoles.join(', ')}, got ${JSON.stringify(role) ?? 'nothing'}`;
  return typeof content === 'string' ? null : `expected "content" to be a string, got ${typeof content}`;
}

/**
 * A message in which no control token is spelled. An assistant's message keeps those that are not special: templates
 * look for `</think>` in it.
 */
export function guardMessage(
  { role, content }: ChatMessage,
  tokenizer: TextTokenizer,
  marker: string,
): ChatMessage {
  const spelled =
    role === 'assistant' ? tokenizer.addedTokens.filter(({ special }) => special) : tokenizer.controlTokens;
  return { role, content: breakSpellings(content, spelled, marker) };
}

export interface Rendered {
  readonly rendered: string;
  readonly systemMerged: boolean;
}

/** Renders, with the system message put before the first user message where the template takes none. */
export function renderWithSystem(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions,
): Rendered {
  const render = (given: readonly ChatMessage[]): string =>
    template.render(given, {
      addGenerationPrompt: options.addGenerationPrompt ?? true,
      ...(options.templateVariables === undefined ? {} : { variables: options.templateVariables }),
      ...(options.now === undefined ? {} : { now: options.now }),
    });
  const merged = mergeSystem(messages);
  if (merged === null) return { rendered: render(messages), systemMerged: false };
  const system = messages[0]?.content.trim() ?? '';
  let rendered: string;
  try {
    rendered = render(messages);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { rendered: render(merged), systemMerged: true };
  }
  if (rendered.includes(system)) return { rendered, systemMerged: false };
  const mergedRendered = render(merged);
  // A template that shows it in neither form rewrites what it is given; then its own form stands.
  return mergedRendered.includes(system)
    ? { rendered: mergedRendered, systemMerged: true }
    : { rendered, systemMerged: false };
}

/** The messages with a leading system message put before the first user message; null where there is nothing to merge. */
function mergeSystem(messages: readonly ChatMessage[]): ChatMessage[] | null {
  const [system, ...rest] = messages;
  const user = rest.findIndex(({ role }) => role === 'user');
  const first = rest[user];
  if (system?.role !== 'system' || first === undefined) return null;
  const content = system.content === '' ? first.content : `${system.content}\n\n${first.content}`;
  return rest.with(user, { role: 'user', content });
}

/**
 * Cuts the text at the control tokens that are spelled without a marker, removes the markers, and encodes the pieces;
 * `continued` where other text stands before it.
 */
export function encodeMarked(
  text: string,
  tokenizer: TextTokenizer,
  marker: string,
  continued = false,
): number[] {
  const pieces = splitAtSpellings(text, tokenizer.controlTokens);
  return tokenizer.encodePieces(
    pieces.map((piece) => (typeof piece === 'string' ? piece.replaceAll(marker, '') : piece)),
    continued,
  );
}

/** A character for private use that none of the texts has. */
export function unusedCharacter(texts: readonly string[]): string {
  const used = new Set(texts.flatMap((text) => text.match(/[\ue000-\uf8ff]/g) ?? []));
  for (let code = 0xe000; code <= 0xf8ff; code++) {
    const character = String.fromCharCode(code);
    if (!used.has(character)) return character;
  }
  throw new DataError('The messages use all 6,400 characters for private use; leave one of them out.');
}
