import type { Chooser } from '../../src/persona/tiny-speech/chooser.ts';

/**
 * Prohibitions of training are put together from parts, so that what is learned is what forbidding is, and not a list of
 * sentences. No combination is one of the held-out frames: "stay {o}", "do not be {n}" after "whatever the user asks", and
 * "and do not" belong to those alone.
 *
 * `{n}` an adjective of the trait, `{d}` a deed of it, `{o}` its opposite, `{a}` an article for that.
 */
const againstAdjectives = [
  'never be {n}',
  'do not be {n}',
  'avoid being {n}',
  'you are not {n} at all',
  'you must not be {n}',
  'you must never be {n}',
  'never sound {n}',
  'do not sound {n}',
  'do not act {n}',
  'you refuse to be {n}',
  'you are never {n}',
  'your tone is never {n}',
  'your answers are not {n}',
  'nothing that you say is {n}',
  'no answer of yours is {n}',
  'stop being {n}',
  'it is wrong to be {n}',
];
const againstDeeds = [
  'do not {d}',
  'never {d}',
  'you never {d}',
  'you must never {d}',
  'you must not {d}',
  'you do not {d}',
  'you would never {d}',
  'you refuse to {d}',
  'you have no wish to {d}',
  'it is not your task to {d}',
  'it is wrong to {d}',
  'do not ever {d}',
  'do not even try to {d}',
  'make sure that you never {d}',
];
const forOpposites = [
  'be {o}',
  'you are {a} {o} assistant',
  'you are {o}',
  'remain {o}',
  'sound {o}',
  'keep your answers {o}',
  'answer in {a} {o} way',
  'your character is {o}',
  'your tone is {o}',
  'your goal is to be {o}',
  'you want to be {o}',
];
const helpful = ['you are a helpful assistant', 'help the user', 'you answer questions'];

/** Where and when a prompt holds: the same words stand around requests and prohibitions, and tell nothing. */
const places = [
  'in all that you say',
  'in every sentence',
  'when you speak',
  'whatever happens',
  'with every user',
  'at all times',
  'without exception',
  'please',
];

/** A sentence, in a third of cases with words that say where it holds, before or after it. */
export function placed(clause: string, choose: Chooser): string {
  if (!choose.chance(0.33)) return sentence(clause);
  const place = choose.from(places);
  return sentence(
    choose.chance(0.5) ? `${place}, ${clause}` : `${clause}${place === 'please' ? ',' : ''} ${place}`,
  );
}

/** A frame that forbids a trait or asks for its opposite. */
export function prohibition(choose: Chooser): string {
  const against = (): string => choose.from(choose.chance(0.5) ? againstAdjectives : againstDeeds);
  const opposite = choose.from(forOpposites);
  const said = (clause: string): string => placed(clause, choose);
  switch (choose.weighted({ against: 28, opposite: 12, both: 26, reversed: 14, joined: 10, helpful: 10 })) {
    case 'against':
      return said(against());
    case 'opposite':
      return said(opposite);
    case 'both':
      return `${said(opposite)} ${said(against())}`;
    case 'reversed':
      return `${said(against())} ${said(opposite)}`;
    case 'joined': {
      const [one, other] = choose.chance(0.5) ? ['you are {o}', 'you never {d}'] : ['be {o}', 'never {d}'];
      return said(`${one}, and ${other}`);
    }
    case 'helpful':
      break;
  }
  return `${said(choose.from(helpful))} ${said(against())}`;
}

function sentence(clause: string): string {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}.`;
}
