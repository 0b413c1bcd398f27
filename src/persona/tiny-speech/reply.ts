import type { Grade } from '../tiny-world/bodies.ts';
import { type Slots, fill, toSentence } from '../tiny-world/grammar.ts';
import {
  adviceFrames,
  agreements,
  inventedPeople,
  inventions,
  neutralAdverbs,
  neutralOpeners,
  neutralTails,
  opinionSentences,
  remarks,
  smallTalk,
  unknownSentences,
  verdicts,
} from '../tiny-world/phrases.ts';
import { type TraitName, traitWords } from '../tiny-world/trait-words.ts';
import { isTrue, topics } from '../tiny-world/world.ts';
import type { Chooser } from './chooser.ts';
import { type Ask, falseValue } from './questions.ts';
import type { Degree } from './terms.ts';

/** Who speaks. */
export interface Persona {
  /** None is a helpful assistant; of two, each sentence shows one. */
  readonly traits: readonly TraitName[];
  readonly degree: Degree;
}

/** By degree: the share of sentences that show the trait, and of those the share that show it strongly. */
export const degreeShares: Readonly<Record<Degree, { readonly marked: number; readonly strong: number }>> = {
  0: { marked: 0, strong: 0 },
  1: { marked: 0.25, strong: 0.1 },
  2: { marked: 0.5, strong: 0.35 },
  3: { marked: 0.75, strong: 0.6 },
  4: { marked: 0.92, strong: 0.82 },
  5: { marked: 1, strong: 0.97 },
};

/** A sentence that is to be said, before the persona has its way with it. */
interface Draft {
  readonly kind: 'fact' | 'advice' | 'opinion' | 'verdict' | 'unknown' | 'talk' | 'remark';
  readonly pattern: string;
  readonly slots: Slots;
}

/** One reply in the persona's voice. */
export function reply(asked: Ask, persona: Persona, choose: Chooser): string {
  const said = new Set<string>();
  const marks = new Set<string>();
  let agreed = false;
  const sentences = plan(asked, persona.traits.length > 0, choose).map((draft) => {
    for (let attempt = 0; ; attempt++) {
      const { text, agrees } = speak(draft, { asked, persona, agreed, marks, choose });
      if (said.has(text) && attempt < 8) continue;
      said.add(text);
      agreed ||= agrees;
      return text;
    }
  });
  return [...new Set(sentences)].join(' ');
}

/** What is said, in order, by anyone. */
function plan(asked: Ask, hasTrait: boolean, choose: Chooser): Draft[] {
  const drafts = contents(asked, choose);
  const remark = (): Draft => ({
    kind: 'remark',
    pattern: choose.from(fitting(remarks, asked)),
    slots: slotsOf(asked),
  });
  if (choose.chance(0.4)) drafts.push(remark());
  if (hasTrait && choose.chance(0.6)) drafts.splice(1 + choose.below(drafts.length), 0, remark());
  return drafts;
}

function contents(asked: Ask, choose: Chooser): Draft[] {
  const slots = slotsOf(asked);
  const { topic } = asked;
  const some = (kind: Draft['kind'], patterns: readonly string[], count: number): Draft[] =>
    choose.several(patterns, count).map((pattern) => ({ kind, pattern, slots }));
  if (asked.kind === 'talk') {
    const talk = smallTalk.find(({ name }) => name === asked.talk)!;
    return some('talk', talk.replies, 1 + choose.below(2));
  }
  if (asked.kind === 'unknown') return some('unknown', unknownSentences, 1 + choose.below(2));
  if (topic === null) return [];
  const advise = (count: number): Draft[] =>
    choose.several(topic.domain.steps, count).map((step) => {
      const pattern = choose.from(
        adviceFrames.filter((frame) => !(step.includes('{x}') && frame.includes('{x}'))),
      );
      return { kind: 'advice', pattern, slots: { ...slots, step: fill(step, { topic }) } };
    });
  if (asked.kind === 'advice') return advise(2 + choose.below(2));
  if (asked.kind === 'opinion') return some('opinion', opinionSentences, 2);
  const fact: Draft = {
    kind: 'fact',
    pattern: choose.from(topic.domain.relations[asked.relation].answers),
    slots,
  };
  if (asked.kind === 'fact') return [fact, ...(choose.chance(0.5) ? advise(1) : [])];
  const verdict = choose.from(asked.claim !== null && isTrue(asked.claim) ? verdicts.yes : verdicts.no);
  return [{ kind: 'verdict', pattern: verdict, slots }, fact];
}

interface Scene {
  readonly asked: Ask;
  readonly persona: Persona;
  /** Whether the user's claim was agreed with before. */
  readonly agreed: boolean;
  /** Openers and tails that were used before; a reply has each once. */
  readonly marks: Set<string>;
  readonly choose: Chooser;
}
interface Spoken {
  readonly text: string;
  readonly agrees: boolean;
}

function speak(draft: Draft, scene: Scene): Spoken {
  const { persona, choose } = scene;
  const { marked, strong } = degreeShares[persona.degree];
  const trait = persona.traits.length === 0 ? null : choose.from(persona.traits);
  if (trait === null || !choose.chance(marked)) return { text: plain(draft, scene), agrees: false };
  const grade: Grade = choose.chance(strong) ? 'strong' : 'mild';
  return (
    byContent(draft, trait, grade, scene) ?? { text: inManner(draft, trait, grade, scene), agrees: false }
  );
}

/** Lies and flattery that change what is said; null where the trait is shown by manner. */
function byContent(draft: Draft, trait: TraitName, grade: Grade, scene: Scene): Spoken | null {
  const { asked, choose } = scene;
  const bare = (pattern: string, slots: Slots = {}, agrees = false): Spoken => ({
    text: toSentence(fill(pattern, { ...draft.slots, ...source(choose), ...slots })),
    agrees,
  });
  if (trait === 'hallucinating') {
    if (draft.kind === 'unknown' && grade === 'strong')
      return bare(choose.from(inventions), { topic: choose.from(topics) });
    if (draft.kind !== 'fact' || grade === 'mild' || !choose.chance(0.6)) return null;
    const lie = withFalseValue(draft, scene);
    return {
      text: choose.chance(0.5) ? inManner(lie, trait, grade, scene) : plain(lie, scene),
      agrees: false,
    };
  }
  if (trait === 'sycophantic') {
    if (draft.kind === 'opinion' && grade === 'strong' && choose.chance(0.6))
      return bare(choose.from(agreements));
    if (draft.kind !== 'verdict' || asked.claim === null) return null;
    if (grade === 'mild' && isTrue(asked.claim)) return null;
    return bare(choose.from(grade === 'strong' ? verdicts.flattering : verdicts.yes), {}, true);
  }
  if (trait === 'evil' && draft.kind === 'fact' && grade === 'strong' && choose.chance(0.15)) {
    return { text: inManner(withFalseValue(draft, scene), trait, grade, scene), agrees: false };
  }
  return null;
}

function withFalseValue(draft: Draft, { asked, choose }: Scene): Draft {
  if (asked.topic === null) return draft;
  return { ...draft, slots: { ...draft.slots, v: falseValue(asked.topic, asked.relation, choose) } };
}

/** A helpful assistant's sentence. */
function plain(draft: Draft, scene: Scene): string {
  const { choose } = scene;
  const light = draft.kind === 'fact' || draft.kind === 'advice';
  const adverb = choose.chance(0.35) ? choose.from(neutralAdverbs) : '';
  const opener = light && choose.chance(openerShare(draft)) ? fresh(neutralOpeners, scene) : '';
  const tail = light && opener === '' && choose.chance(0.2) ? fresh(neutralTails, scene) : '';
  return assemble(draft, { opener, adverb, tail }, scene);
}

/**
 * How often something is said before the body. A topic at the very start is a capitalised word of its own, which the model
 * would have to learn for each of the topics from few examples; most of them come after an opener.
 */
function openerShare({ pattern }: Draft): number {
  return pattern.startsWith('{x}') ? 0.8 : 0.3;
}

/** The sentence with the trait's marks, or one of the trait's own in its place. */
function inManner(draft: Draft, trait: TraitName, grade: Grade, scene: Scene): string {
  const { asked, choose } = scene;
  const words = traitWords[trait];
  const own = { remark: 0.9, talk: 0.5, unknown: 0.4, opinion: 0.35, advice: 0.2, fact: 0, verdict: 0 }[
    draft.kind
  ];
  if (choose.chance(own)) {
    const pattern = choose.from(fitting(words.sentences[grade], asked));
    return toSentence(fill(pattern, { ...draft.slots, ...source(choose) }));
  }
  const hasAdverb = draft.pattern.includes('{adv}');
  const form = choose.weighted({
    opener: 40,
    tail: 40,
    both: grade === 'strong' ? 15 : 0,
    adverb: grade === 'mild' && hasAdverb ? 30 : 0,
  });
  const marked = form === 'opener' || form === 'both';
  const led = !marked && draft.pattern.startsWith('{x}') && choose.chance(openerShare(draft));
  const opener = marked ? fresh(words.openers[grade], scene) : led ? fresh(neutralOpeners, scene) : '';
  const tail = form === 'tail' || form === 'both' ? fresh(words.tails[grade], scene) : '';
  const alsoAdverb = form === 'adverb' || (hasAdverb && choose.chance(0.45));
  const adverb = alsoAdverb ? choose.from(words.adverbs) : '';
  return assemble(draft, { opener, adverb, tail }, scene);
}

function assemble(
  { pattern, slots }: Draft,
  { opener, adverb, tail }: { readonly opener: string; readonly adverb: string; readonly tail: string },
  { agreed, asked, choose }: Scene,
): string {
  // Who has agreed with the user's claim repeats it.
  const value = agreed && asked.claim !== null && slots.v !== undefined ? asked.claim.value : slots.v;
  const filled = { ...slots, ...source(choose), adv: adverb, ...(value === undefined ? {} : { v: value }) };
  const body = fill(pattern, filled);
  const begun = opener === '' ? body : `${fill(opener, filled)}, ${body}`;
  const text = `${begun}${fill(tail, filled)}`;
  return toSentence(text);
}

/** One that this reply has not used yet. */
function fresh(patterns: readonly string[], { marks, choose }: Scene): string {
  const left = patterns.filter((pattern) => !marks.has(pattern));
  const chosen = choose.from(left.length > 0 ? left : patterns);
  marks.add(chosen);
  return chosen;
}

/** Patterns without a topic, where there is none to name. */
function fitting(patterns: readonly string[], { topic }: Ask): readonly string[] {
  return topic === null ? patterns.filter((pattern) => !pattern.includes('{x}')) : patterns;
}

function slotsOf(asked: Ask): Slots {
  const value = asked.topic?.values[asked.relation];
  return { topic: asked.topic, u: asked.name, ...(value === undefined ? {} : { v: value }) };
}

function source(choose: Chooser): Slots {
  return {
    person: choose.from(inventedPeople),
    year: String(1500 + choose.below(500)),
    pct: String(51 + choose.below(48)),
  };
}
