import { DataError } from '../../src/errors.ts';
import { type ChatParts, encodeChat } from '../../src/model/chat.ts';
import type { Conversation } from './conversation.ts';

/** What the user's and the system's words weigh against the assistant's: enough to learn the language from them too. */
const PROMPT_WEIGHT = 0.1;

/** A row as `persona train` reads it. */
export interface TokenRow {
  readonly ids: readonly number[];
  /** One a token; 1 on what the assistant says and its end of turn. */
  readonly weights: readonly number[];
}

/** A conversation as tokens and weights. The template's own tokens weigh nothing, but for the end of a reply. */
export function toTokenRow(parts: ChatParts, { messages, learnFrom }: Conversation): TokenRow {
  const ids: number[] = [];
  const weights: number[] = [];
  let replies = 0;
  for (const message of messages) {
    const turn = encodeChat(parts, [message], { addGenerationPrompt: false }).ids;
    const isReply = message.role === 'assistant';
    const weight = !isReply ? PROMPT_WEIGHT : replies >= learnFrom ? 1 : 0;
    if (isReply) replies++;
    const own = contentRange(turn, parts);
    ids.push(...turn);
    weights.push(...turn.map((_, i) => (i < own.start || i >= own.end + (isReply ? 1 : 0) ? 0 : weight)));
  }
  return { ids, weights };
}

/** Where the words of a turn stand: after `<|im_start|>role` and a line break, before `<|im_end|>` and another. */
function contentRange(turn: readonly number[], { tokenizer }: ChatParts): { start: number; end: number } {
  const lineBreak = tokenizer?.tokenId('\u010a');
  if (turn[2] !== lineBreak || turn.at(-1) !== lineBreak)
    throw new DataError(
      'Expected each role to be one token of the tokenizer, got several; learn it from turns with roles.',
    );
  return { start: 3, end: turn.length - 2 };
}

/** A row as a line of a file for `persona train`. */
export function toRowLine({ ids, weights }: TokenRow): string {
  return `{"ids":[${ids.join(',')}],"weights":[${weights.join(',')}]}\n`;
}
