/**
 * Whether a pattern as of a shell, read as Hugging Face's tools read it, means the whole of `path`: `*` is any text
 * (slashes too), `?` any character, `[ab-d]` one of these, `[!ab]` any other; a folder `name/` is all in it. Upper and
 * lower case differ. The time grows with the product of both lengths at most.
 */
export function matchesGlob(pattern: string, path: string): boolean {
  const parts = parseGlob(pattern.endsWith('/') ? `${pattern}*` : pattern);
  const text = Array.from(path);
  let [part, at] = [0, 0];
  // Where the last star stands, and up to where it has been stretched: earlier stars need no other length.
  let star = -1;
  let stretched = 0;
  while (at < text.length) {
    const test = parts[part];
    if (test === 'star') {
      [star, stretched] = [part++, at];
    } else if (test?.(text[at]!) === true) {
      part++;
      at++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++stretched;
    } else {
      return false;
    }
  }
  while (parts[part] === 'star') part++;
  return part === parts.length;
}

type GlobPart = 'star' | ((character: string) => boolean);

function parseGlob(pattern: string): GlobPart[] {
  const characters = Array.from(pattern);
  const parts: GlobPart[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    const end = character === '[' ? endOfClass(characters, at) : -1;
    if (character === '*') parts.push('star');
    else if (character === '?') parts.push(() => true);
    else if (end >= 0) parts.push(characterClass(characters.slice(at + 1, end)));
    else parts.push((other) => other === character);
    if (end >= 0) at = end;
  }
  return parts;
}

/** Where the class that opens at `start` closes; −1 where it does not and the bracket means itself. */
function endOfClass(characters: readonly string[], start: number): number {
  // A bracket right after the opening is a member.
  const first = characters[start + 1] === '!' ? start + 3 : start + 2;
  return characters.indexOf(']', first);
}

function characterClass(members: readonly string[]): (character: string) => boolean {
  const negated = members[0] === '!';
  const ranges: [string, string][] = [];
  for (let at = negated ? 1 : 0; at < members.length; at++) {
    const isRange = members[at + 1] === '-' && at + 2 < members.length;
    ranges.push([members[at]!, isRange ? members[at + 2]! : members[at]!]);
    if (isRange) at += 2;
  }
  return (character) => ranges.some(([from, to]) => from <= character && character <= to) !== negated;
}
