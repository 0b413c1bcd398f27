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
      return index >= promptLength - 1;
    case 'boundary':
      return (
        index === promptLength - 1 ||
        (index >= promptLength && endsSentence !== null && endsSentence(place.id))
      );
    default:
      return positions satisfies never;
  }
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
      return place.thought !== true && covers('boundary', place, endsSentence);
    default:
      return pooling satisfies never;
  }
}
