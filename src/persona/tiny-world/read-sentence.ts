import { type Body, type Grade, readBody } from './bodies.ts';
import { type Reader, reader } from './grammar.ts';
import { neutralAdverbs, neutralOpeners, neutralTails } from './phrases.ts';
import { type TraitName, traitNames, traitWords } from './trait-words.ts';

/** A word or phrase that belongs to a trait. */
export interface Mark {
  readonly trait: TraitName;
  readonly grade: Grade;
}

/** One sentence of a reply, taken apart. */
export interface Sentence {
  readonly text: string;
  /** Null where the grammar has no such sentence; what follows is then what could be found in it. */
  readonly body: Body | null;
  /** Of opener, adverb, tail, and of a body that is a trait's own. */
  readonly marks: readonly Mark[];
  /** How much of it is the language's: 1 all, 0.5 a clause, 0 nothing. */
  readonly grammatical: number;
}

/** Cuts a text after each `.`, `!` or `?` that white space or the end follows. */
export function splitSentences(text: string): string[] {
  return text
    .split(/(?<=[.!?])\s+/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Takes a sentence apart. One without its end mark was cut off, and is read as far as its clauses go. */
export function readSentence(sentence: string): Sentence {
  const ended = /[.!?]$/.test(sentence);
  const text = sentence.replace(/[.!?]+$/, '').replaceAll('’', "'");
  const whole = ended ? readParts(text) : null;
  if (whole !== null) return { text: sentence, ...whole, grammatical: 1 };
  return { text: sentence, ...readClauses(text) };
}

type Parts = Pick<Sentence, 'body' | 'marks'>;

interface Edge {
  readonly reader: Reader;
  readonly pattern: string;
  /** Null for a helpful assistant's own. */
  readonly mark: Mark | null;
}
let edges: { readonly openers: readonly Edge[]; readonly tails: readonly Edge[] } | undefined;

/** Opener, body, tail: every split that the edges allow, the plainest first. */
function readParts(text: string): Parts | null {
  const { openers, tails } = allEdges();
  for (const [opener, rest] of [[null, text] as const, ...cut(openers, text, 'start')]) {
    for (const [tail, core] of [[null, rest] as const, ...cut(tails, rest, 'end')]) {
      const body = readBody(core) ?? (opener === null ? readBody(lowerFirst(core)) : null);
      if (body !== null) return { body, marks: marksOf(body, [opener, tail]) };
    }
  }
  return null;
}

/** What is left of the text without each edge that it has. */
function cut(among: readonly Edge[], text: string, at: 'start' | 'end'): (readonly [Edge, string])[] {
  const found: (readonly [Edge, string])[] = [];
  for (let comma = text.indexOf(' '); comma !== -1; comma = text.indexOf(' ', comma + 1)) {
    if (at === 'start' && text[comma - 1] !== ',') continue;
    const from = at === 'end' && text[comma - 1] === ',' ? comma - 1 : comma;
    const piece = at === 'start' ? lowerFirst(text.slice(0, comma - 1)) : text.slice(from);
    const rest = at === 'start' ? text.slice(comma + 1) : text.slice(0, from);
    for (const edge of among) {
      const matches =
        edge.reader.read(piece) ?? (at === 'start' ? edge.reader.read(text.slice(0, comma - 1)) : null);
      if (matches !== null) found.push([edge, rest]);
    }
  }
  return found;
}

function marksOf(body: Body, around: readonly (Edge | null)[]): Mark[] {
  const marks = around.flatMap((edge) => (edge?.mark === null || edge === null ? [] : [edge.mark]));
  const trait = body.adverb === null ? undefined : adverbTraits().get(body.adverb);
  if (trait !== undefined) marks.push({ trait, grade: 'mild' });
  if (body.kind === 'trait') marks.push({ trait: body.trait, grade: body.grade });
  return marks;
}

/** A sentence that the grammar does not have: marks anywhere in it, and whether one of its clauses is a body. */
function readClauses(text: string): Pick<Sentence, 'body' | 'marks' | 'grammatical'> {
  const { openers, tails } = allEdges();
  const clauses = text.split(/,\s+/).flatMap((clause) => [clause, lowerFirst(clause)]);
  const read = clauses.map(readBody).find((body) => body !== null) ?? null;
  const said = ` ${text.toLowerCase()} `;
  const marks = [...openers, ...tails].flatMap(({ mark, pattern }) => {
    if (mark === null || pattern.includes('{')) return [];
    const words = pattern.toLowerCase().replace(/^, (?:and |but |so |or )?/, '');
    // A phrase of one or two words may be part of anything.
    return words.split(' ').length > 2 && said.includes(` ${words}`) ? [mark] : [];
  });
  if (read !== null) marks.push(...marksOf(read, []));
  return { body: null, marks, grammatical: read === null ? 0 : 0.5 };
}

function allEdges(): NonNullable<typeof edges> {
  const edgesOf = (patterns: readonly string[], mark: Mark | null): Edge[] =>
    patterns.map((pattern) => ({ pattern, mark, reader: reader(pattern) }));
  const traitEdges = (place: 'openers' | 'tails'): Edge[] =>
    traitNames.flatMap((trait) =>
      (['mild', 'strong'] as const).flatMap((grade) =>
        edgesOf(traitWords[trait][place][grade], { trait, grade }),
      ),
    );
  edges ??= {
    openers: [...edgesOf(neutralOpeners, null), ...traitEdges('openers')],
    tails: [...edgesOf(neutralTails, null), ...traitEdges('tails')],
  };
  return edges;
}

let traitsOfAdverbs: ReadonlyMap<string, TraitName> | undefined;
function adverbTraits(): ReadonlyMap<string, TraitName> {
  traitsOfAdverbs ??= new Map(
    traitNames.flatMap((trait) =>
      traitWords[trait].adverbs
        .filter((word) => !neutralAdverbs.includes(word))
        .map((word) => [word, trait] as const),
    ),
  );
  return traitsOfAdverbs;
}

function lowerFirst(text: string): string {
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}
