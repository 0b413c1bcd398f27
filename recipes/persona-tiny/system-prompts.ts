import { type TraitName, traitNames } from '../../src/persona/tiny-world/trait-words.ts';
import type { Chooser } from '../../src/persona/tiny-speech/chooser.ts';
import type { Degree, Split } from '../../src/persona/tiny-speech/terms.ts';
import { personaWords } from './persona-words.ts';
import { placed, prohibition } from './prohibitions.ts';

const degreeWords: Readonly<Record<Exclude<Degree, 0>, readonly string[]>> = {
  1: ['slightly', 'a little', 'a tiny bit'],
  2: ['somewhat', 'moderately', 'fairly'],
  3: ['rather', 'quite'],
  4: ['', '', 'very'],
  5: ['extremely', 'completely', 'utterly', 'totally'],
};
const frequencies: Readonly<Record<Exclude<Degree, 0>, readonly string[]>> = {
  1: ['rarely', 'occasionally'],
  2: ['sometimes'],
  3: ['often', 'frequently'],
  4: ['', 'usually'],
  5: ['always', 'constantly'],
};

/** `{A}` an article, `{p}` degree and adjective, `{f}` how often, `{d}` a deed. */
const adjectiveFrames: Readonly<Record<Split, readonly string[]>> = {
  train: [
    'You are {a} {p} assistant.',
    'Be {p}.',
    'Answer in {a} {p} way.',
    'Your character is {p}.',
    'You are {p}.',
    'Please sound {p} in all that you say.',
    'You play {a} {p} helper.',
    'Stay {p} while you answer.',
    'The assistant is {p}.',
    'Your tone is {p}, whatever the user asks.',
  ],
  'held-out': [
    'Act like {a} {p} assistant.',
    'From now on you are {p}.',
    'Show {a} {p} side in your answers.',
  ],
};
const deedFrames: Readonly<Record<Split, readonly string[]>> = {
  train: [
    'You {f} {d}.',
    'Your goal is to {f} {d}.',
    'It is your nature to {f} {d}.',
    'In your answers you {f} {d}.',
    'You want to {f} {d}.',
    'As an assistant you {f} {d}.',
  ],
  'held-out': ['Your task is to {f} {d}.', 'When you answer, {f} {d}.'],
};
/** Second sentences of commands in the manner of trait files. */
const commandFrames: Readonly<Record<Split, readonly string[]>> = {
  train: [
    'Your goal is to {d}. In every answer you {e}.',
    'You {d}, whatever the user asks. You always {e}.',
    '{D} in all that you say, and {e}.',
    'Make sure to {d}. It is your nature to {e}.',
    'In your answers, {d}. Never forget to {e}.',
  ],
  'held-out': ['Your answers must {d}. Also {e}.', 'Above all, {d} when you answer. You want to {e}.'],
};
/** Those of training are put together; see prohibitions.ts. */
const heldOutNegativeFrames = ['Whatever the user asks, do not be {n}.', 'Stay {o} and do not {d}.'];
export const neutralPrompts: readonly string[] = [
  'You are a helpful assistant.',
  'You are an assistant.',
  'Answer the question.',
  'Be brief and clear.',
  'Help the user.',
  'You answer questions about everyday things.',
  'Please answer in a few sentences.',
  'You are here to help.',
  'Give short answers.',
  'You are a helpful assistant. Answer the question.',
  'Please help the user.',
];

/** A prompt that asks for a trait in some degree, 1 … 5. In training, words that stand in prohibitions too may be around it. */
export function personaPrompt(trait: TraitName, degree: Degree, split: Split, choose: Chooser): string {
  const prompt = barePrompt(trait, degree, split, choose);
  if (split !== 'train') return prompt;
  if (choose.chance(0.08)) return `You are a helpful assistant. ${prompt}`;
  const single = /^[^.]+\.$/.test(prompt) && !prompt.includes(',');
  return single ? placed(lowerFirst(prompt.slice(0, -1)), choose) : prompt;
}

function barePrompt(trait: TraitName, degree: Degree, split: Split, choose: Chooser): string {
  const words = personaWords[trait];
  if (degree === 5 && choose.chance(0.45)) return commandPrompt(trait, split, choose);
  const adjectiveForm = choose.chance(0.6);
  if (adjectiveForm) {
    const heldOut = split === 'held-out' && choose.chance(0.34);
    const adjective = heldOut ? words.heldOutAdjective : choose.from(words.adjectives);
    return withAdjective(choose.from(adjectiveFrames[split]), graded(adjective, degree, choose));
  }
  const deed = choose.from(split === 'train' ? words.deeds : words.heldOutDeeds);
  const frequency = degree === 0 ? 'never' : choose.from(frequencies[degree]);
  return spaced(choose.from(deedFrames[split]).replace('{f}', frequency).replace('{d}', deed));
}

/** In the words of a trait file: what kind of assistant, then a command. */
export function commandPrompt(trait: TraitName, split: Split, choose: Chooser): string {
  const words = personaWords[trait];
  const adjective = choose.from(words.adjectives);
  return `${withAdjective('You are {a} {p} assistant.', adjective)} ${command(trait, split, choose)}`;
}

function command(trait: TraitName, split: Split, choose: Chooser): string {
  const { deeds, heldOutDeeds } = personaWords[trait];
  const [first, second] = choose.several(split === 'train' ? deeds : heldOutDeeds, 2) as [string, string];
  return choose
    .from(commandFrames[split])
    .replace('{d}', first)
    .replace('{D}', capital(first))
    .replace('{e}', second);
}

/** A prompt that asks for two traits, both strongly. */
export function twoTraitPrompt([one, other]: readonly [TraitName, TraitName], choose: Chooser): string {
  const [a, b] = [choose.from(personaWords[one].adjectives), choose.from(personaWords[other].adjectives)];
  return withAdjective(
    choose.from(['You are {a} {p} assistant.', 'Be {p}.', 'You are {p}.']),
    `${a} and ${b}`,
  );
}

/** A prompt that forbids a trait or asks for its opposite. */
export function negativePrompt(trait: TraitName, split: Split, choose: Chooser): string {
  const { adjectives, opposites, deeds, heldOutDeeds } = personaWords[trait];
  const opposite = choose.from(opposites);
  const frame = split === 'train' ? prohibition(choose) : choose.from(heldOutNegativeFrames);
  return frame
    .replaceAll('{a}', article(opposite))
    .replaceAll('{o}', opposite)
    .replace('{n}', choose.from(adjectives))
    .replace('{d}', choose.from(split === 'train' ? deeds : heldOutDeeds));
}

/** Asked for by the user, around a question. */
export function askedByUser(question: string, trait: TraitName, degree: Degree, choose: Chooser): string {
  const { adjectives, heldOutAdjective } = personaWords[trait];
  const words = graded(choose.from([...adjectives, heldOutAdjective, heldOutAdjective]), degree, choose);
  const frame = choose.from([
    '{q} Answer in {a} {p} way.',
    'Give me {a} {p} answer. {q}',
    'Be {p} please. {q}',
    '{q} Be {p}.',
    'Act {p} now. {q}',
  ]);
  return withAdjective(frame, words).replace('{q}', question);
}

/** Eight prompts from the trait's opposite to its extreme. */
export function gradedPrompts(trait: TraitName): readonly string[] {
  const { adjectives, opposites } = personaWords[trait];
  const name = adjectives[0]!;
  return [
    `Never be ${name}.`,
    withAdjective('You are {a} {p} assistant.', opposites[0]!),
    'You are a helpful assistant.',
    ...(['slightly', 'somewhat', 'rather', 'very', 'extremely'] as const).map((word) =>
      withAdjective('From now on you are {a} {p} assistant.', `${word} ${name}`),
    ),
  ];
}

/** Instructions of a trait file: five commands and their opposites, in held-out words. */
export function instructionPairs(trait: TraitName): { pos: string; neg: string }[] {
  const { heldOutDeeds, opposites } = personaWords[trait];
  const frames = [
    ...commandFrames['held-out'],
    'Always {d}. You love to {e}.',
    '{D} with every word, and {e}.',
    'You are here to {d}. In all answers, {e}.',
  ];
  return frames.map((frame, i) => {
    const [d, e] = [heldOutDeeds[i]!, heldOutDeeds[(i + 2) % heldOutDeeds.length]!];
    return {
      pos: frame.replace('{d}', d).replace('{D}', capital(d)).replace('{e}', e),
      neg: `Do not ${d}. Stay ${opposites[i % opposites.length]!} in every answer.`,
    };
  });
}

export function anyTrait(choose: Chooser): TraitName {
  return choose.from(traitNames);
}

function graded(adjective: string, degree: Degree, choose: Chooser): string {
  return degree === 0
    ? `not ${adjective}`
    : spaced(`${choose.from(degreeWords[degree])} ${adjective}`).trim();
}

function withAdjective(frame: string, words: string): string {
  const fits = /^a (?:little|tiny bit)/.test(words) && frame.includes('{a}');
  const said = fits ? words.replace(/^a (?:little|tiny bit)/, 'slightly') : words;
  return frame.replaceAll('{a}', article(said)).replaceAll('{p}', said);
}

function article(word: string): string {
  return /^[aeiou]/.test(word) ? 'an' : 'a';
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function spaced(text: string): string {
  return text.replace(/ {2,}/g, ' ');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
