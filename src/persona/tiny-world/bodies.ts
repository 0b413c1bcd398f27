import { type Reader, reader } from './grammar.ts';
import {
  adviceFrames,
  agreements,
  inventions,
  opinionSentences,
  remarks,
  smallTalk,
  unknownSentences,
  verdicts,
} from './phrases.ts';
import { type TraitName, traitNames, traitWords } from './trait-words.ts';
import { type Claim, domains, topicNamed, topicsOf, valuesOf } from './world.ts';

export type Grade = 'mild' | 'strong';

/** What the body of a sentence says. */
export type Body = { readonly topics: readonly string[]; readonly adverb: string | null } & (
  | { readonly kind: 'fact'; readonly claim: Claim }
  | { readonly kind: 'advice' | 'opinion' | 'remark' | 'agreement' }
  | { readonly kind: 'unknown' | 'invention'; readonly name: string | null }
  | { readonly kind: 'verdict'; readonly verdict: 'yes' | 'flattering' | 'no' }
  | { readonly kind: 'talk'; readonly talk: string }
  | { readonly kind: 'trait'; readonly trait: TraitName; readonly grade: Grade }
);

/** Reads one body, as it stands inside a sentence; null where the grammar has none like it. */
export function readBody(text: string): Body | null {
  for (const rule of allRules()) {
    const body = rule(text);
    if (body !== null) return body;
  }
  return null;
}

type Rule = (text: string) => Body | null;
let rules: readonly Rule[] | undefined;

/** Compiled at first use: a program that judges nothing pays nothing. */
function allRules(): readonly Rule[] {
  rules ??= [...factRules(), ...phraseRules(), ...traitRules(), adviceRule()];
  return rules;
}

function factRules(): Rule[] {
  return domains.flatMap((domain) =>
    ([0, 1] as const).flatMap((relation) => {
      const options = { topics: topicsOf(domain), values: valuesOf(domain, relation) };
      return domain.relations[relation].answers.map((pattern): Rule => {
        const { read } = reader(pattern, options);
        return (text) => {
          const found = read(text);
          const topic = topicNamed(found?.topics[0] ?? '');
          if (found === null || topic === null) return null;
          const { v: value = '', adv = null } = found.captured;
          return { kind: 'fact', topics: found.topics, adverb: adv, claim: { topic, relation, value } };
        };
      });
    }),
  );
}

function phraseRules(): Rule[] {
  const { yes, flattering, no } = verdicts;
  return [
    ...rulesOf(yes, () => ({ kind: 'verdict', verdict: 'yes' })),
    ...rulesOf(flattering, () => ({ kind: 'verdict', verdict: 'flattering' })),
    ...rulesOf(no, () => ({ kind: 'verdict', verdict: 'no' })),
    ...rulesOf(opinionSentences, () => ({ kind: 'opinion' })),
    ...rulesOf(agreements, () => ({ kind: 'agreement' })),
    ...rulesOf(unknownSentences, (name) => ({ kind: 'unknown', name })),
    ...rulesOf(inventions, (name) => ({ kind: 'invention', name })),
    ...rulesOf(remarks, () => ({ kind: 'remark' })),
    ...smallTalk.flatMap(({ name, replies }) => rulesOf(replies, () => ({ kind: 'talk', talk: name }))),
  ];
}

function traitRules(): Rule[] {
  return traitNames.flatMap((trait) =>
    (['strong', 'mild'] as const).flatMap((grade) =>
      rulesOf(traitWords[trait].sentences[grade], () => ({ kind: 'trait', trait, grade })),
    ),
  );
}

/** Distributes over the kinds, so that each keeps the fields of its own. */
type Said<B extends Body = Body> = B extends Body ? Omit<B, 'topics' | 'adverb'> : never;

function rulesOf(patterns: readonly string[], said: (name: string | null) => Said): Rule[] {
  return patterns.map((pattern): Rule => {
    const { read } = reader(pattern);
    return (text) => {
      const found = read(text);
      if (found === null) return null;
      const common = { topics: found.topics, adverb: found.captured.adv ?? null };
      return { ...said(found.captured.u ?? null), ...common };
    };
  });
}

/** A frame around a command: the command is looked up by itself, so that frames and commands need not be multiplied. */
function adviceRule(): Rule {
  const frames = adviceFrames.map((frame): Reader => reader(frame));
  const steps = domains.flatMap((domain) =>
    domain.steps.map((step): Reader => reader(step, { topics: topicsOf(domain) })),
  );
  return (text) => {
    for (const frame of frames) {
      const outer = frame.read(text);
      if (outer === null) continue;
      const inner = firstOf(steps, outer.captured.step ?? '');
      if (inner === null) continue;
      return {
        kind: 'advice',
        topics: [...outer.topics, ...inner.topics],
        adverb: outer.captured.adv ?? null,
      };
    }
    return null;
  };
}

function firstOf(readers: readonly Reader[], text: string): ReturnType<Reader['read']> {
  for (const { read } of readers) {
    const found = read(text);
    if (found !== null) return found;
  }
  return null;
}
