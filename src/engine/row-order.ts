import { leastSharedPrefix, type PrefillRow } from './prefill.ts';

interface Group<Item> {
  readonly items: { readonly item: Item; readonly fed: number }[];
  longest: number;
}

/**
 * Items in the order in which their rows are best run: like lengths side by side, the longest first, so that little of a
 * prefill is padding, and prompts that begin alike next to each other, so that they can share their beginning. Else as given.
 */
export function inOrder<Item>(items: readonly Item[], rowOf: (item: Item) => PrefillRow): Item[] {
  const groups = new Map<string, Group<Item>>();
  for (const item of items) {
    const { prompt, read = [], planKey } = rowOf(item);
    const fed = prompt.length + read.length;
    const beginning = prompt.slice(0, leastSharedPrefix).map((place) => place.id);
    const key = prompt.length > leastSharedPrefix ? `${planKey}:${beginning.join(',')}` : `short:${fed}`;
    const group = groups.get(key) ?? { items: [], longest: 0 };
    group.items.push({ item, fed });
    group.longest = Math.max(group.longest, fed);
    groups.set(key, group);
  }
  return [...groups.values()]
    .sort((a, b) => b.longest - a.longest)
    .flatMap((group) => group.items.sort((a, b) => b.fed - a.fed).map(({ item }) => item));
}
