import type { Origin, PaperTable } from '../../persona/experiments/paper.ts';
import { fixed } from '../../util/html.ts';
import type { PartName } from './parts.ts';

/** A number of ours, with the ends of its 95 % interval where it has one. */
export interface OurNumber {
  readonly value: number | null;
  readonly lower?: number | null | undefined;
  readonly upper?: number | null | undefined;
}

/** `open` where we have no number to compare. */
export type Verdict = 'agrees' | 'differs' | 'open';

/** One thing that the paper says beside what was found here. */
export interface Comparison {
  readonly part: PartName;
  /** Figure, table or section of the paper. */
  readonly source: string;
  readonly by: Origin;
  readonly on: string;
  /** Null where it is not of one trait. */
  readonly trait: string | null;
  /** What is compared. */
  readonly subject: string;
  readonly ours: string;
  readonly paper: string;
  /** By which the verdict was made. */
  readonly rule: string;
  readonly verdict: Verdict;
}

/** Where a comparison belongs, and what it is of. */
export interface Place {
  readonly part: PartName;
  readonly table: Pick<PaperTable<unknown>, 'source' | 'by' | 'on'>;
  readonly trait?: string;
  readonly subject: string;
  /** Decimals. */
  readonly digits?: number;
}

const placed = ({ part, table: { source, by, on }, trait, subject }: Place) => {
  return { part, source, by, on, trait: trait ?? null, subject };
};

/** Ours lies in the range of the paper's values, or its 95 % interval reaches into it. */
export function withinRange(place: Place, ours: OurNumber, values: readonly number[]): Comparison {
  const { digits = 2 } = place;
  const [from, to] = [Math.min(...values), Math.max(...values)];
  const [low, high] = [ours.lower ?? ours.value, ours.upper ?? ours.value];
  const meets = low === null || high === null ? null : low <= to && high >= from;
  const hasInterval = ours.lower != null && ours.upper != null;
  return {
    ...placed(place),
    ours: numberText(ours, digits),
    paper: from === to ? fixed(from, digits) : `${fixed(from, digits)} to ${fixed(to, digits)}`,
    rule: hasInterval
      ? `range: our 95 % interval meets ${from === to ? "the paper's value" : "the paper's range"}`
      : `range: ours lies ${from === to ? "at the paper's value" : "in the paper's range"}`,
    verdict: verdictOf(meets),
  };
}

/** Ours has the sign of the paper's values, with its whole 95 % interval. */
export function sameSign(place: Place, ours: OurNumber, values: readonly number[]): Comparison {
  const { digits = 2 } = place;
  const sign = Math.sign(values.reduce((sum, value) => sum + value, 0));
  const ends = [ours.value, ours.lower, ours.upper].filter((end) => end != null);
  return {
    ...placed(place),
    ours: numberText(ours, digits),
    paper: values.map((value) => fixed(value, digits)).join(', '),
    rule: "sign: ours has the paper's sign, with its whole 95 % interval where it has one",
    verdict: verdictOf(ours.value === null ? null : ends.every((end) => Math.sign(end) === sign)),
  };
}

/** Ours is at least, or at most, a number that the paper gives. */
export function bounded(
  place: Place,
  ours: OurNumber,
  bound: { readonly least: number } | { readonly most: number },
): Comparison {
  const { digits = 1 } = place;
  const [word, limit] = 'least' in bound ? ['at least', bound.least] : ['at most', bound.most];
  const { value } = ours;
  const holds = value === null ? null : 'least' in bound ? value >= limit : value <= limit;
  return {
    ...placed(place),
    ours: numberText(ours, digits),
    paper: `${word} ${fixed(limit, digits)}`,
    rule: `bound: ours is ${word} the paper's`,
    verdict: verdictOf(holds),
  };
}

/** A named number. */
export type Named = readonly [name: string, value: number | null];

/** The names stand in the paper's order: every one's number is above the next one's. */
export function inOrder(place: Place, ours: readonly Named[], digits = 0): Comparison {
  const steps = ours.slice(1).map(([, value], i): boolean | null => {
    const before = ours[i]![1];
    return before === null || value === null ? null : before > value;
  });
  return {
    ...placed(place),
    ours: namedText(ours, digits),
    paper: ours.map(([name]) => name).join(' > '),
    rule: "order: ours fall in the paper's order, by their means",
    verdict: verdictOf(steps.includes(null) ? null : steps.every((step) => step === true)),
  };
}

/** The first name's number is above all others'. */
export function isHighest(place: Place, ours: readonly Named[], digits = 0): Comparison {
  const [first, ...others] = ours.map(([, value]) => value);
  const unknown = first == null || others.includes(null);
  return {
    ...placed(place),
    ours: namedText(ours, digits),
    paper: `${ours[0]?.[0] ?? ''} highest`,
    rule: 'order: the one that is highest in the paper is highest here, by its mean',
    verdict: verdictOf(unknown ? null : others.every((other) => first > other!)),
  };
}

/** Anything else that holds or does not; `null` where it cannot be said. */
export function holds(
  place: Place,
  { ours, paper, rule, is }: Pick<Comparison, 'ours' | 'paper' | 'rule'> & { readonly is: boolean | null },
): Comparison {
  return { ...placed(place), ours, paper, rule, verdict: verdictOf(is) };
}

function verdictOf(is: boolean | null): Verdict {
  return is === null ? 'open' : is ? 'agrees' : 'differs';
}

/** Such as `0.83 [0.81, 0.85]`. */
export function numberText({ value, lower, upper }: OurNumber, digits: number): string {
  if (value === null || lower == null || upper == null) return fixed(value, digits);
  return `${fixed(value, digits)} [${fixed(lower, digits)}, ${fixed(upper, digits)}]`;
}

function namedText(named: readonly Named[], digits: number): string {
  return named.map(([name, value]) => `${name} ${fixed(value, digits)}`).join(', ');
}

/** In plain sentences, what agrees and what does not. */
export function sentenceOf(comparisons: readonly Comparison[]): string {
  const of = (verdict: Verdict): Comparison[] => comparisons.filter((one) => one.verdict === verdict);
  const [agreeing, differing, open] = [of('agrees'), of('differs'), of('open')];
  const decided = agreeing.length + differing.length;
  if (decided === 0) return 'Nothing of it could be compared.';
  return [
    `${agreeing.length} of ${decided} comparisons agree.`,
    listed('As in the paper', agreeing, (group) => agreementText(group, comparisons)),
    listed('Different', differing, differenceText),
    listed('Not to be said', open, (group) => agreementText(group, comparisons)),
  ]
    .filter((part) => part !== '')
    .join(' ');
}

/** Comparisons of one subject are told together. */
function listed(
  head: string,
  comparisons: readonly Comparison[],
  text: (group: readonly Comparison[]) => string,
): string {
  const subjects = [...new Set(comparisons.map(({ subject }) => subject))];
  if (subjects.length === 0) return '';
  const groups = subjects.map((subject) => comparisons.filter((one) => one.subject === subject));
  return `${head}: ${groups.map(text).join('; ')}.`;
}

/** A subject with the traits that it holds for, unless these are all. */
function agreementText(group: readonly Comparison[], all: readonly Comparison[]): string {
  const { subject, trait } = group[0]!;
  const same = all.filter((one) => one.subject === subject).length;
  if (trait === null || group.length === same) return subject;
  return `${subject} (${group.map((one) => one.trait).join(', ')})`;
}

const origins: Readonly<Record<Origin, string>> = {
  paper: 'the paper',
  replication: 'a replication',
  'second hand': 'as reported',
};

/** A subject with every trait's number and the paper's, which is told once where it is the same. */
function differenceText(group: readonly Comparison[]): string {
  const { subject, by, paper } = group[0]!;
  const named = ({ trait, ours }: Comparison): string => (trait === null ? ours : `${trait} ${ours}`);
  if (group.every((one) => one.paper === paper))
    return `${subject} (${group.map(named).join('; ')}; ${origins[by]}: ${paper})`;
  return `${subject} (${group.map((one) => `${named(one)}, ${origins[by]} ${one.paper}`).join('; ')})`;
}
