/** Something that a text can spell, such as an added token. */
export interface Spelled {
  readonly content: string;
}

/** Cuts a text at what it spells: leftmost first, of several at one place the longest. No piece is empty text. */
export function splitAtSpellings<T extends Spelled>(text: string, spelled: readonly T[]): (string | T)[] {
  if (spelled.length === 0) return text === '' ? [] : [text];
  const byContent = new Map(spelled.map((item) => [item.content, item]));
  const pieces: (string | T)[] = [];
  let end = 0;
  for (const match of text.matchAll(spellingPattern(spelled))) {
    if (match.index > end) pieces.push(text.slice(end, match.index));
    const item = byContent.get(match[0]);
    if (item !== undefined) pieces.push(item);
    end = match.index + match[0].length;
  }
  if (end < text.length) pieces.push(text.slice(end));
  return pieces;
}

/** Puts `marker` after the first character of whatever the text spells, so that nothing of `spelled` is left in it. */
export function breakSpellings(text: string, spelled: readonly Spelled[], marker: string): string {
  // A spelling of one character has no inside where it could be broken.
  const breakable = spelled.filter(({ content }) => Array.from(content).length > 1);
  if (breakable.length === 0) return text;
  const pattern = spellingPattern(breakable);
  let broken = '';
  let end = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const inside = match.index + String.fromCodePoint(match[0].codePointAt(0)!).length;
    broken += text.slice(end, inside) + marker;
    end = inside;
    // Another spelling may begin inside this one.
    pattern.lastIndex = inside;
  }
  return broken + text.slice(end);
}

const patterns = new WeakMap<readonly Spelled[], RegExp>();

function spellingPattern(spelled: readonly Spelled[]): RegExp {
  const known = patterns.get(spelled);
  if (known !== undefined) {
    known.lastIndex = 0;
    return known;
  }
  const contents = spelled.map(({ content }) => content).sort((a, b) => b.length - a.length);
  const source = contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|');
  const pattern = new RegExp(source, 'g');
  patterns.set(spelled, pattern);
  return pattern;
}
