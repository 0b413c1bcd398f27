/** What Python writes for escapes in a text; all others keep their backslash. */
const escapes: Readonly<Record<string, string>> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\n': '',
};

/**
 * The texts of a list as Python prints it, such as `['a', "it's", 'x\n']`, or null where the text is no such list. Nothing
 * is evaluated: strings, commas and brackets are all that is known.
 */
export function parsePythonList(text: string): string[] | null {
  const items: string[] = [];
  let rest = /^\s*\[\s*/.exec(text);
  let position = rest?.[0].length ?? -1;
  if (position < 0) return null;
  while (text[position] !== ']') {
    const literal = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y;
    literal.lastIndex = position;
    const found = literal.exec(text)?.[0];
    if (found === undefined) return null;
    items.push(unescape(found.slice(1, -1)));
    const between = /\s*(?:,\s*|(?=\]))/y;
    between.lastIndex = literal.lastIndex;
    rest = between.exec(text);
    if (rest === null) return null;
    position = between.lastIndex;
  }
  return text.slice(position + 1).trim() === '' ? items : null;
}

function unescape(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([^]))/g,
    (whole, short: string | undefined, four: string | undefined, eight: string | undefined, one: string) => {
      const code = short ?? four ?? eight;
      if (code !== undefined) return codePoint(code) ?? whole;
      return escapes[one] ?? whole;
    },
  );
}

/** Null beyond the last code point. */
function codePoint(hexadecimal: string): string | null {
  const code = Number.parseInt(hexadecimal, 16);
  return code <= 0x10ffff ? String.fromCodePoint(code) : null;
}
