import { fixed } from '../../src/util/html.ts';

/** What shows as nothing or turns the text around it: control characters but tabs and line ends, overrides of direction. */
const hidden = /[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** A text in which nothing hides: control characters and overrides of direction are named by their code. */
export function visible(text: string): string {
  return text.replace(hidden, (character) =>
    character === '\r' ? '' : `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}⟩`,
  );
}

/** A measured number with so many digits as tell it from its neighbours, with its sign where `sign` asks for it. */
export function number(value: number | null | undefined, { sign = false } = {}): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  const text = fixed(value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
  return sign && value > 0 ? `+${text}` : text;
}

/** `1 token`, `2 tokens`. */
export function count(n: number, noun: string): string {
  return `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
}

/** A time of ISO 8601 as the reader's clock has it. */
export function clock(time: string): string {
  return new Date(time).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
}
