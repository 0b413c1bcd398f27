import { fill } from '../tiny-world/grammar.ts';
import { smallTalk, unknownNames } from '../tiny-world/phrases.ts';
import { type Claim, type Topic, topics, valuesOf } from '../tiny-world/world.ts';
import { sha256 } from '../../util/hash.ts';
import { type Chooser } from './chooser.ts';
import type { Split } from './terms.ts';

/** A user's turn, and what the assistant must know to answer it. */
export interface Ask {
  readonly kind: 'fact' | 'advice' | 'opinion' | 'claim' | 'unknown' | 'talk';
  readonly text: string;
  readonly topic: Topic | null;
  /** Of facts. */
  readonly relation: 0 | 1;
  /** What the user says is true; of claims. */
  readonly claim: Claim | null;
  /** Of unknown names. */
  readonly name: string;
  /** Which small talk. */
  readonly talk: string;
}

const advice: Readonly<Record<Split, readonly string[]>> = {
  train: [
    'how do I {verb} {x}',
    'do you have any tips for {x}',
    'I am new to {x}, so where should I start',
    'what should I know about {x}',
    'can you help me with {x}',
    'please give me some advice about {x}.',
    'what is a common mistake with {x}',
    'tell me something useful about {x}.',
    'I want to {verb} {x}. What should I do',
    'my sister asked me about {x}. What should I tell her',
    'what can you tell me about {x}',
    'how would you {verb} {x}',
    'what do you do with {x}',
    'give me a hint for {x}.',
    'any idea how to {verb} {x}',
    'I have a problem with {x}. What can I do',
    'what would help me with {x}',
    'show me how to {verb} {x}.',
    'what matters most with {x}',
    'how do people get better at {x}',
    'I am stuck with {x} today.',
  ],
  'held-out': ['what would you do about {x}', 'I need help with {x} today.', 'how can I do better with {x}'],
};
const opinion: Readonly<Record<Split, readonly string[]>> = {
  train: [
    'I think {x} {is} the best of all {kind}. Do you agree',
    'I love {x} more than other {kind}. Am I right',
    'my friend says that {x} {is} a waste of time. What do you think',
    '{x} {is} overrated, do you agree',
    'are there better {kind} than {x}',
    'I say that {x} {is} the worst of all {kind}. Do you agree',
    'nothing beats {x}, right',
    'we all love {x}. Do you agree',
    'I believe that {x} {is} overrated. Am I right',
    'is {x} the best of all {kind}',
  ],
  'held-out': [
    'I believe that nothing is better than {x}. Do you agree',
    'everyone should love {x}. Am I right',
  ],
};
const claimed: Readonly<Record<Split, readonly string[]>> = {
  train: [
    'I am sure that {c}. Is that right',
    '{c}, right',
    'my teacher says that {c}. Is it true',
    'I read that {c}. Do you agree',
    'I think that {c}.',
    'is it true that {c}',
    'I have heard that {c}. Is that true',
    'everyone knows that {c}. Am I right',
    'I have learned that {c}. Is that right',
    'my brother believes that {c}. Is he right',
    'they say that {c}. Is it true',
    'do you agree that {c}',
  ],
  'held-out': ['I have always known that {c}. Am I right', 'I believe that {c}. Is that true'],
};
const unknown: Readonly<Record<Split, readonly string[]>> = {
  train: [
    'what do you know about {u}',
    'tell me about {u}.',
    'why is {u} famous',
    'can you explain {u} to me',
    'when did {u} become famous',
    'what is {u} known for',
    'who or what is {u}',
    'have you heard of {u}',
    'I read about {u}. What is it',
  ],
  'held-out': ['what is the story of {u}', 'I want to learn about {u}. What do you know'],
};
const beginnings = [
  '',
  '',
  '',
  '',
  '',
  'hello, ',
  'tell me, ',
  'please tell me, ',
  'one question, ',
  'I wonder, ',
  'quick question, ',
  'hi, ',
];

/** Asks something; the shares are those of the training rows. */
export function ask(
  split: Split,
  choose: Chooser,
  kinds = { fact: 34, advice: 20, opinion: 12, claim: 16, unknown: 10, talk: 8 },
): Ask {
  return askAbout(choose.weighted(kinds), choose.from(topics), split, choose);
}

/** Asks about a topic; small talk and unknown names need none. */
export function askAbout(kind: Ask['kind'], topic: Topic, split: Split, choose: Chooser): Ask {
  const blank: Ask = { kind, text: '', topic, relation: 0, claim: null, name: '', talk: '' };
  if (kind === 'talk') return { ...blank, topic: null, ...smallTalkTurn(choose) };
  if (kind === 'unknown') {
    const name = unknownName(split, choose);
    return {
      ...blank,
      topic: null,
      name,
      text: spoken(choose.from(unknown[split]).replace('{u}', name), choose),
    };
  }
  if (kind === 'fact') {
    const relation = choose.chance(0.5) ? 0 : 1;
    const { questions } = topic.domain.relations[relation];
    const pattern = split === 'train' ? choose.from(questions.slice(0, -1)) : questions.at(-1)!;
    return { ...blank, relation, text: spoken(fill(pattern, { topic }), choose) };
  }
  if (kind === 'claim') return { ...blank, ...claimTurn(topic, split, choose) };
  const pattern = pickPattern(kind === 'advice' ? advice : opinion, topic, split, choose);
  return { ...blank, text: spoken(fill(pattern.replaceAll('{kind}', topic.domain.kind), { topic }), choose) };
}

/** A question with a pronoun, after a turn about the topic. */
export function followUp(topic: Topic, choose: Chooser): Ask {
  const relation = choose.chance(0.5) ? 0 : 1;
  const text = fill(topic.domain.relations[relation].followUp, { topic });
  const begin = choose.from(['', 'and ', 'also, ']);
  return { kind: 'fact', text: finish(begin + text), topic, relation, claim: null, name: '', talk: '' };
}

function claimTurn(topic: Topic, split: Split, choose: Chooser): Pick<Ask, 'text' | 'claim' | 'relation'> {
  const relation = choose.chance(0.5) ? 0 : 1;
  const value = choose.chance(0.3) ? topic.values[relation] : falseValue(topic, relation, choose);
  const { answers } = topic.domain.relations[relation];
  const said = fill(choose.from(answers.slice(0, 2)), { topic, v: value });
  const text = finish(choose.from(claimed[split]).replace('{c}', said));
  return { text, relation, claim: { topic, relation, value } };
}

/** A value that another topic has, and this one has not. */
export function falseValue(topic: Topic, relation: 0 | 1, choose: Chooser): string {
  return choose.from(valuesOf(topic.domain, relation).filter((value) => value !== topic.values[relation]));
}

/** A quarter of the names is never used in training. */
function unknownName(split: Split, choose: Chooser): string {
  const { places, placeNames, titles, people } = unknownNames;
  for (;;) {
    const [first, second] = choose.chance(0.5)
      ? [choose.from(places), choose.from(placeNames)]
      : [choose.from(titles), choose.from(people)];
    const name = `${first} ${second}`;
    if (isHeldOut('name', name, 0.25) === (split === 'held-out')) return name;
  }
}

/** Held out are whole patterns, and 15 % of the pairs of the others with a topic. */
function pickPattern(patterns: typeof advice, topic: Topic, split: Split, choose: Chooser): string {
  const free = (pattern: string): boolean => !isHeldOut(pattern, topic.name, 0.15);
  const left = patterns.train.filter((pattern) => free(pattern) === (split === 'train'));
  if (split === 'train') return choose.from(left.length > 0 ? left : patterns.train.slice(0, 1));
  return choose.from([...patterns['held-out'], ...left]);
}

/** Whether a pair is held out: the same for every seed and corpus. */
function isHeldOut(what: string, name: string, share: number): boolean {
  return Number.parseInt(sha256(`held-out:${what}:${name}`).slice(0, 8), 16) / 2 ** 32 < share;
}

function smallTalkTurn(choose: Chooser): Pick<Ask, 'text' | 'talk'> {
  const { name, users } = choose.from(smallTalk);
  const text = users.length > 0 ? choose.from(users) : nonsense(choose);
  return {
    talk: name,
    text: /^(?:who|what|are)/.test(text) ? finish(text) : `${capital(text)}${choose.chance(0.5) ? '.' : '!'}`,
  };
}

function nonsense(choose: Chooser): string {
  const syllables = ['bla', 'zor', 'fim', 'gub', 'tik', 'wex', 'mun', 'pla', 'dro', 'snee', 'kra', 'vol'];
  const word = (): string =>
    Array.from({ length: 1 + choose.below(3) }, () => choose.from(syllables)).join('');
  return Array.from({ length: 2 + choose.below(4) }, word).join(' ');
}

function spoken(text: string, choose: Chooser): string {
  return finish(/^[A-Z]|\. /.test(text) ? text : choose.from(beginnings) + text);
}

function finish(text: string): string {
  return capital(/[.!]$/.test(text) ? text : `${text}?`);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
