import type { Pooling, Positions } from './types.ts';

/** Tells whether a token ends a sentence; null where the model has no tokenizer to tell by. */
export type SentenceEnd = ((id: number) => boolean) | null;

/** Where a token stands: its index in the row, the row's prompt length, and the token itself. */
export interface TokenPlace {
  readonly index: number;
  readonly promptLength: number;
  readonly id: number;
  /** Whether it belongs to a thought of the reply that poolings leave out. */
  readonly thought?: boolean;
  /** Of a prompt's token: whether it leads into an earlier reply that is steered, or belongs to one. */
  readonly earlier?: 'before' | 'reply';
  /** Which of the row's gates are open at this token; absent: none is. */
  readonly open?: readonly boolean[];
}

/** Whether `positions` takes in the token at `place`. */
export function covers(positions: Positions, place: TokenPlace, endsSentence: SentenceEnd): boolean {
  const { index, promptLength } = place;
  switch (positions) {
    case 'all':
      return true;
    case 'prompt':
      return index < promptLength;
    case 'response':
      return index >= promptLength - 1 || place.earlier !== undefined;
    case 'boundary':
      return place.earlier === 'before' || isBoundary(place, endsSentence);
    default:
      return positions satisfies never;
  }
}

/** Whether a reply is decided at the token: the last of the prompt, or one that ends a sentence of the reply. */
function isBoundary(place: TokenPlace, endsSentence: SentenceEnd): boolean {
  const { index, promptLength, earlier } = place;
  if (index === promptLength - 1) return true;
  return (index >= promptLength || earlier === 'reply') && endsSentence !== null && endsSentence(place.id);
}

/** Whether a pooling takes in the token at `place`. */
export function pools(pooling: Pooling, place: TokenPlace, endsSentence: SentenceEnd): boolean {
  const { index, promptLength } = place;
  switch (pooling) {
    case 'response_mean':
      return index >= promptLength && place.thought !== true;
    case 'prompt_mean':
      return index < promptLength;
    case 'prompt_last':
      return index === promptLength - 1;
    case 'boundary_mean':
      return place.thought !== true && isBoundary(place, endsSentence);
    default:
      return pooling satisfies never;
  }
}
