/** The tokens that may come next at some place, and the continuations, by index, that take each of them. */
export type NextTokens = ReadonlyMap<number, readonly number[]>;

/** A token to feed, `depth` tokens behind the prompt's last one, and what may come after it. */
export interface LaneStep {
  readonly token: number;
  /** 0 for the first token of a continuation. */
  readonly depth: number;
  readonly next: NextTokens;
}

/** Steps for one copy of the prompt: whole branches one after the other, each from its first token on. */
export type TokenLane = readonly LaneStep[];

/** Continuations that share what they begin with. */
export interface TokenTree {
  /** What may come right after the prompt. */
  readonly first: NextTokens;
  readonly lanes: readonly TokenLane[];
  /** Most tokens that are fed behind the prompt. */
  readonly depth: number;
}

/** A tree of continuations, spread over at most `most` lanes of about equal length. Last tokens are not fed. */
export function planTree(continuations: readonly (readonly number[])[], most: number): TokenTree {
  const all = continuations.map((_, index) => index);
  const first = nextTokens(continuations, all, 0);
  const branches = [...first]
    .map(([token, indices]) => walk(continuations, indices, token, 0))
    .filter((branch) => branch.length > 0)
    .sort((a, b) => b.length - a.length);
  const lanes: LaneStep[][] = Array.from({ length: Math.min(most, branches.length) }, () => []);
  for (const branch of branches) {
    const shortest = lanes.reduce((best, lane) => (lane.length < best.length ? lane : best));
    shortest.push(...branch);
  }
  const depth = Math.max(0, ...lanes.flat().map((step) => step.depth + 1));
  return { first, lanes, depth };
}

/** The steps of a branch in which every token comes right after the one that it continues, or after a finished branch. */
function walk(
  continuations: readonly (readonly number[])[],
  indices: readonly number[],
  token: number,
  depth: number,
): LaneStep[] {
  const next = nextTokens(continuations, indices, depth + 1);
  if (next.size === 0) return [];
  const below = [...next].flatMap(([id, following]) => walk(continuations, following, id, depth + 1));
  return [{ token, depth, next }, ...below];
}

function nextTokens(
  continuations: readonly (readonly number[])[],
  indices: readonly number[],
  depth: number,
): NextTokens {
  const next = new Map<number, number[]>();
  for (const index of indices) {
    const token = continuations[index]![depth];
    if (token === undefined) continue;
    const found = next.get(token) ?? [];
    next.set(token, [...found, index]);
  }
  return next;
}
