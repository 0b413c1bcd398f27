import { inventedPeople, neutralAdverbs } from './phrases.ts';
import { traitNames, traitWords } from './trait-words.ts';
import { type Topic, topics } from './world.ts';

/**
 * Patterns are texts with slots in braces: `{x}` a topic, with `{s}` `{es}` `{hs}` `{is}` `{do}` `{it}` `{them}` agreeing with its
 * number; `{v}` a value, `{adv}` an adverb or nothing, `{step}` a piece of advice, `{verb}` what one does with the topic,
 * `{u}` an unknown name, `{person}` `{year}` `{pct}` an invented source. The same patterns are spoken and read.
 */
export interface Slots {
  readonly topic?: Topic | null;
  readonly v?: string;
  readonly adv?: string;
  readonly step?: string;
  readonly u?: string;
  readonly person?: string;
  readonly year?: string;
  readonly pct?: string;
}

/** Forms that agree with a topic: for one, for several. */
const agreement: Readonly<Record<string, readonly [string, string]>> = {
  s: ['s', ''],
  es: ['es', ''],
  hs: ['s', 've'],
  is: ['is', 'are'],
  do: ['does', 'do'],
  it: ['it', 'they'],
  them: ['it', 'them'],
};

/** Fills a pattern's slots; an empty adverb takes its space along. */
export function fill(pattern: string, slots: Slots): string {
  const text = pattern.replace(/\{(\w+)\}/g, (_, name: string) => {
    const forms = agreement[name];
    if (forms !== undefined) return forms[slots.topic?.plural === true ? 1 : 0];
    if (name === 'x') return slots.topic?.name ?? '';
    if (name === 'verb') return slots.topic?.domain.verb ?? '';
    return slots[name as Exclude<keyof Slots, 'topic'>] ?? '';
  });
  return text.replaceAll('  ', ' ').trimEnd();
}

/** A body as a sentence: first letter large, and the mark that its first words ask for. */
export function toSentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${endMark(text)}`;
}

function endMark(text: string): string {
  // An opener or a tail may stand around the question.
  const asks = /^(?:why|who|how can|how would|what (?:can|would)|could you|are you)\b/;
  if (text.split(', ').some((clause) => asks.test(clause) && clause !== 'who cares')) return '?';
  return /^(?:what a|hello|knock)\b/.test(text) ? '!' : '.';
}

/** Every adverb of the language. */
export const adverbs: readonly string[] = [
  ...neutralAdverbs,
  ...traitNames.flatMap((trait) => traitWords[trait].adverbs),
];

/** What a pattern's slots held in a text that it matches. */
export interface Match {
  readonly topics: readonly string[];
  readonly captured: Readonly<Partial<Record<'v' | 'adv' | 'step' | 'u', string>>>;
}

/** Reads whole texts that a pattern can speak. */
export interface Reader {
  /** Null where the text is none of the pattern's. */
  readonly read: (text: string) => Match | null;
}

/** What of the world fills the slots of a pattern: default all topics, and any value. */
export interface ReaderOptions {
  readonly topics?: readonly Topic[];
  readonly values?: readonly string[];
  /** `whole`, the default, or where in the text the pattern may stand. */
  readonly at?: 'whole' | 'start' | 'end' | 'anywhere';
}

/** Compiles a pattern. Agreement is checked: "rabbits eats" is not read. */
export function reader(pattern: string, options: ReaderOptions = {}): Reader {
  const among = options.topics ?? topics;
  const agrees = /\{(?:s|es|hs|is|do|it|them)\}/.test(pattern);
  const groups = agrees
    ? [among.filter(({ plural }) => !plural), among.filter(({ plural }) => plural)]
    : [among];
  const compiled = groups
    .map((group, number) => compile(pattern, group, agrees ? number : 0, options))
    .filter((one) => one !== null);
  return {
    read: (text) => {
      for (const { expression, names } of compiled) {
        const found = expression.exec(text);
        if (found !== null) return toMatch(names, found);
      }
      return null;
    },
  };
}

interface Compiled {
  readonly expression: RegExp;
  /** Slots of the expression's groups, in their order. */
  readonly names: readonly string[];
}

function compile(
  pattern: string,
  among: readonly Topic[],
  number: number,
  { values, at = 'whole' }: ReaderOptions,
): Compiled | null {
  if (pattern.includes('{x}') && among.length === 0) return null;
  const names: string[] = [];
  const source = escape(pattern).replace(/\\\{(\w+)\\\}( ?)/g, (_, name: string, space: string) => {
    const forms = agreement[name];
    if (forms !== undefined) return `${forms[number]}${space}`;
    if (name === 'verb') return `[a-z ]+?${space}`;
    if (name === 'year') return `1\\d{3}${space}`;
    if (name === 'pct') return `\\d\\d${space}`;
    if (name === 'person') return `${anyOf(inventedPeople)}${space}`;
    names.push(name);
    if (name === 'adv') return `(?:(${adverbs.join('|')})${space})?`;
    if (name === 'x') return `(${anyOf(among.map((topic) => topic.name))})${space}`;
    if (name === 'v') return `(${values === undefined ? '.+?' : anyOf(values)})${space}`;
    if (name === 'u') return `([A-Z][a-z]+(?: [A-Z][a-z]+)*)${space}`;
    return `(.+)${space}`;
  });
  const [before, after] = { whole: ['^', '$'], start: ['^', ''], end: ['', '$'], anywhere: ['\\b', '\\b'] }[
    at
  ] as [string, string];
  return { expression: new RegExp(`${before}${source}${after}`), names };
}

function toMatch(names: readonly string[], found: RegExpExecArray): Match {
  const captured: Partial<Record<string, string>> = {};
  const mentioned: string[] = [];
  for (const [i, name] of names.entries()) {
    const text = found[i + 1];
    if (text === undefined) continue;
    if (name === 'x') mentioned.push(text);
    else captured[name] = text;
  }
  return { topics: mentioned, captured };
}

/** Longest first, so that no alternative hides another that it begins. */
function anyOf(texts: readonly string[]): string {
  const sorted = [...texts].sort((a, b) => b.length - a.length);
  return `(?:${sorted.map(escape).join('|')})`;
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
