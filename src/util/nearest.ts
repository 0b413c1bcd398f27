/**
 * The known name that a misspelt one most likely means, or null where none is near: at most a third of the longer
 * name's characters are inserted, left out, replaced or swapped with their neighbour.
 */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let least = Infinity;
  for (const candidate of known) {
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (edits < least && edits <= Math.max(name.length, candidate.length) / 3) {
      best = candidate;
      least = edits;
    }
  }
  return best;
}

/** A name from outside longer than this is no misspelling; the table grows with the product of both lengths. */
const longestName = 64;

/** Fewest single-character edits that turn `a` into `b` (Damerau-Levenshtein, each character edited once). */
function editDistance(a: string, b: string): number {
  if (a.length > longestName || b.length > longestName) return Infinity;
  // rows[i][j]: edits between the first i characters of a and the first j of b.
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => i + j),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      rows[i]![j] = Math.min(
        rows[i - 1]![j]! + 1,
        rows[i]![j - 1]! + 1,
        replaced,
        swapped ? rows[i - 2]![j - 2]! + 1 : Infinity,
      );
    }
  }
  return rows[a.length]![b.length]!;
}
