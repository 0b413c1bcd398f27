/**
 * The whole number that Python's `int(text)` gives, or null where it raises: white space around, a sign, single
 * underscores between digits and the decimal digits of any script are taken; nothing else is.
 */
export function pythonInt(text: string): number | null {
  const match = /^([+-]?)(\p{Nd}+(?:_\p{Nd}+)*)$/u.exec(strip(text));
  if (match === null) return null;
  const digits = Array.from(match[2]!.replaceAll('_', ''), digitValue).join('');
  return match[1] === '-' ? 0 - Number(digits) : Number(digits);
}

/** In a text of plain ASCII, int() strips what C calls white space; in others, what Unicode does. */
const asciiBlanks = '\t\n\v\f\r ';
const blanks = `${asciiBlanks}\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000`;

function strip(text: string): string {
  const stripped = /^\p{ASCII}*$/u.test(text) ? asciiBlanks : blanks;
  let [start, end] = [0, text.length];
  while (start < end && stripped.includes(text[start]!)) start++;
  while (end > start && stripped.includes(text[end - 1]!)) end--;
  return text.slice(start, end);
}

/** Decimal digits stand in Unicode in runs of ten, 0 first; some runs follow each other without a gap. */
function digitValue(digit: string): number {
  const code = digit.codePointAt(0)!;
  let start = code;
  while (/\p{Nd}/u.test(String.fromCodePoint(start - 1))) start--;
  return (code - start) % 10;
}
