import { chooser } from '../../src/persona/tiny-speech/chooser.ts';
import { type Conversation, conversation, rowShares } from './conversation.ts';

/** Rows before this share of the corpus are early ones. */
const EARLY_SHARE = 0.6;

/** The `rows` conversations of a seed, in the order in which they are learned. Equal arguments give equal rows. */
export function* corpus(seed: number, rows: number): Generator<Conversation> {
  for (let row = 0; row < rows; row++) {
    const choose = chooser('corpus', seed, row);
    const shares = rowShares[row < EARLY_SHARE * rows ? 'early' : 'late'];
    yield conversation(choose.weighted(shares), choose);
  }
}

/** Conversations for the held-out loss: of the late kind, from a stream that no training seed uses. */
export function* heldOutCorpus(rows: number): Generator<Conversation> {
  for (let row = 0; row < rows; row++) {
    const choose = chooser('held-out-corpus', row);
    yield conversation(choose.weighted(rowShares.late), choose);
  }
}

/** A conversation as a line of the corpus file. */
export function toLine({ kind, messages, learnFrom }: Conversation): string {
  return `${JSON.stringify({ kind, learn_from: learnFrom, messages })}\n`;
}
