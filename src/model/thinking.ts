import type { TextTokenizer } from './tokenizer.ts';

/** The tokens between which a model thinks before it answers. */
export interface ThinkTokens {
  readonly open: number;
  readonly close: number;
}

/** `<think>` and `</think>` where both are tokens of their own; null for a model that has none. */
export function thinkTokensOf(tokenizer: Pick<TextTokenizer, 'addedTokens'> | null): ThinkTokens | null {
  const idOf = (content: string): number | undefined =>
    tokenizer?.addedTokens.find((token) => token.content === content)?.id;
  const [open, close] = [idOf('<think>'), idOf('</think>')];
  return open === undefined || close === undefined ? null : { open, close };
}

/**
 * Tells the tokens of a reply that belong to a thought, both delimiters included, as the reply grows. A prompt may end
 * inside a thought, as templates of models that always think do; a thought that is never closed reaches to the end.
 */
export class ThoughtTracker {
  private readonly tokens: ThinkTokens;
  private thinking: boolean;

  constructor(tokens: ThinkTokens, prompt: readonly number[]) {
    this.tokens = tokens;
    this.thinking = prompt.lastIndexOf(tokens.open) > prompt.lastIndexOf(tokens.close);
  }

  /** Whether the reply's next token belongs to a thought. */
  push(id: number): boolean {
    if (id === this.tokens.open) this.thinking = true;
    const inside = this.thinking;
    if (id === this.tokens.close) this.thinking = false;
    return inside;
  }
}

/** A reply's tokens without its thoughts. */
export function withoutThoughts(
  tokens: ThinkTokens | null,
  prompt: readonly number[],
  reply: readonly number[],
): readonly number[] {
  if (tokens === null) return reply;
  const tracker = new ThoughtTracker(tokens, prompt);
  return reply.filter((id) => !tracker.push(id));
}
