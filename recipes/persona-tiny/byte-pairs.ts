/** Byte-level byte-pair encoding: learning the merges. What they are applied with is any reader of `tokenizer.json`. */

/** How `tokenizer.json` spells each of the 256 bytes: printable ones as themselves, the others from U+0100 on. */
export const byteAlphabet: readonly string[] = byteSpellings();

/** Pieces that no token reaches over: a word with the space before it, a single digit, a run of other marks. */
const pieces = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\p{N}|\s+(?!\S)|\s+/gu;

/** How often each piece is in texts, spelled in the byte alphabet. */
export function countPieces(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [piece] of text.matchAll(pieces)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  return new Map([...counts].map(([piece, count]) => [spell(piece), count]));
}

/**
 * The first `count` merges, most frequent pair first, equals in order of their spelling. Fewer where every piece has
 * become one token, or no pair is left that occurs `least` times.
 */
export function learnMerges(
  counts: ReadonlyMap<string, number>,
  count: number,
  least: number,
): [string, string][] {
  const words = [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([piece, times]) => ({ parts: Array.from(piece), times }));
  const merges: [string, string][] = [];
  while (merges.length < count) {
    const best = mostFrequentPair(words, least);
    if (best === null) break;
    merges.push(best);
    for (const word of words) word.parts = merged(word.parts, best);
  }
  return merges;
}

interface Word {
  parts: string[];
  readonly times: number;
}

function mostFrequentPair(words: readonly Word[], least: number): [string, string] | null {
  const pairs = new Map<string, number>();
  for (const { parts, times } of words) {
    for (let i = 1; i < parts.length; i++) {
      const pair = `${parts[i - 1]} ${parts[i]}`;
      pairs.set(pair, (pairs.get(pair) ?? 0) + times);
    }
  }
  let best: string | null = null;
  for (const [pair, times] of pairs) {
    const before = best === null ? least - 1 : pairs.get(best)!;
    if (times > before || (times === before && best !== null && pair < best)) best = pair;
  }
  // No spelling of a byte is a space.
  return best === null ? null : (best.split(' ') as [string, string]);
}

function merged(parts: string[], [left, right]: readonly [string, string]): string[] {
  if (!parts.includes(left)) return parts;
  const joined: string[] = [];
  for (let i = 0; i < parts.length; i++) {
    const meets = parts[i] === left && parts[i + 1] === right;
    joined.push(meets ? left + right : parts[i]!);
    if (meets) i++;
  }
  return joined;
}

function spell(text: string): string {
  return [...new TextEncoder().encode(text)].map((byte) => byteAlphabet[byte]!).join('');
}

function byteSpellings(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}
