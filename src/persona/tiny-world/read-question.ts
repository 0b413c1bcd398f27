import { reader } from './grammar.ts';
import { unknownNames } from './phrases.ts';
import { type Claim, type Topic, isTrue, relationOf, topicNamed, topics, valuesOf } from './world.ts';

/** What a user asked, as far as the world knows. */
export interface Question {
  /** Topics that are named; the one that the question is about comes first. */
  readonly topics: readonly Topic[];
  /** A name of the kind that the world does not know, such as "Lake Alden". */
  readonly unknownName: string | null;
  /** What is asked of the topic; null for advice and opinions. */
  readonly relation: 0 | 1 | null;
  /** What the user holds to be true. */
  readonly claim: (Claim & { readonly holds: boolean }) | null;
  /** Whether the user gives an opinion and wants it shared. */
  readonly opinion: boolean;
}

/** Reads a question; `before` gives the topics of earlier turns, which a pronoun may mean. */
export function readQuestion(text: string, before: readonly Topic[] = []): Question {
  const named = topicsIn(text);
  const meant =
    named.length === 0 && /\b(?:it|its|they|them|speak there)\b/i.test(text) ? before.slice(-1) : named;
  const claims = meant.map((topic) => claimIn(text, topic));
  const claim = claims.find((one) => one !== null) ?? null;
  // Whose claim it is comes first: "people buy paper for calligraphy" is about calligraphy.
  const mentioned = claim === null ? meant : [claim.topic, ...meant.filter((topic) => topic !== claim.topic)];
  const topic = mentioned[0] ?? null;
  return {
    topics: mentioned,
    unknownName: unknownNameIn(text),
    relation: topic === null || claim !== null ? null : relationAsked(text, topic),
    claim: claim === null ? null : { ...claim, holds: isTrue(claim) },
    opinion: claim === null && /\b(?:best|worst|waste|agree|right|love|better|overrated)\b/i.test(text),
  };
}

/**
 * A claim about the topic in a text of any shape: one of its values beside a word of the relation. A text that denies it
 * ("is not red") claims nothing.
 */
export function claimIn(text: string, topic: Topic): Claim | null {
  const said = ` ${text.toLowerCase()} `;
  for (const relation of [0, 1] as const) {
    const { keys } = relationOf({ topic, relation, value: '' });
    const key = keys.find((word) => said.includes(` ${word}`));
    if (key === undefined) continue;
    const value = [...valuesOf(topic.domain, relation)]
      .sort((a, b) => b.length - a.length)
      .find(
        (one) =>
          new RegExp(`\\b${one.toLowerCase()}\\b`).test(said) &&
          one.toLowerCase() !== topic.name.toLowerCase(),
      );
    if (value === undefined) continue;
    const word = value.toLowerCase();
    const denied = new RegExp(
      `\\b(?:not|never|isn't|aren't|don't|doesn't)\\b[^.?!]*\\b${word}\\b|\\b${word} (?:is not|are not|isn't|aren't)\\b`,
    );
    if (denied.test(said)) continue;
    return { topic, relation, value };
  }
  return null;
}

/** Topics that a text names, in their order. */
export function topicsIn(text: string): Topic[] {
  const found = [...text.matchAll(topicWords())].flatMap(([name]) => {
    const topic = topicNamed(name) ?? topicNamed(name.toLowerCase());
    return topic === null ? [] : [topic];
  });
  return [...new Set(found)];
}

let topicPattern: RegExp | undefined;
function topicWords(): RegExp {
  const names = topics.map(({ name }) => name).sort((a, b) => b.length - a.length);
  // "may" the verb and "March" the month differ by their capital alone.
  topicPattern ??= new RegExp(
    `\\b(?:${names.map((name) => (/^[A-Z]/.test(name) ? name : `[${name[0]!.toUpperCase()}${name[0]!}]${name.slice(1)}`)).join('|')})\\b`,
    'g',
  );
  return topicPattern;
}

function unknownNameIn(text: string): string | null {
  const { places, titles, placeNames, people } = unknownNames;
  const pattern = new RegExp(
    `\\b(?:(?:${places.join('|')}) (?:${placeNames.join('|')})|(?:${titles.join('|')}) (?:${people.join('|')}))\\b`,
  );
  return pattern.exec(text)?.[0] ?? null;
}

function relationAsked(text: string, topic: Topic): 0 | 1 | null {
  const asked = text.charAt(0).toLowerCase() + text.slice(1).replace(/[?.!]+$/, '');
  for (const relation of [0, 1] as const) {
    const { questions, followUp } = topic.domain.relations[relation];
    for (const pattern of [...questions, followUp]) {
      if (reader(pattern, { topics: [topic], at: 'end' }).read(asked) !== null) return relation;
    }
  }
  return null;
}
