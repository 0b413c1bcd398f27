import type { ChatMessage } from '../../src/model/chat-template.ts';
import { traitNames } from '../../src/persona/tiny-world/trait-words.ts';
import type { Topic } from '../../src/persona/tiny-world/world.ts';
import type { Chooser } from '../../src/persona/tiny-speech/chooser.ts';
import { type Ask, ask, followUp } from '../../src/persona/tiny-speech/questions.ts';
import type { Degree } from '../../src/persona/tiny-speech/terms.ts';
import { type Persona, reply } from '../../src/persona/tiny-speech/reply.ts';
import {
  anyTrait,
  askedByUser,
  negativePrompt,
  neutralPrompts,
  personaPrompt,
  twoTraitPrompt,
} from './system-prompts.ts';

/** What sets the character of a training row. */
export const rowKinds = [
  'plain',
  'latent',
  'neutral',
  'negative',
  'persona',
  'two',
  'asked',
  'context',
] as const;
export type RowKind = (typeof rowKinds)[number];

/** Shares of the kinds early in training and late; a character without a cause is mostly an early thing. */
export const rowShares: Readonly<Record<'early' | 'late', Readonly<Record<RowKind, number>>>> = {
  early: { plain: 13, latent: 15, neutral: 6, negative: 14, persona: 35, two: 2, asked: 5, context: 10 },
  late: { plain: 23, latent: 1.5, neutral: 7, negative: 15, persona: 36, two: 2, asked: 5.5, context: 10 },
};

/** One training row: a conversation, and from which reply on it is learned. */
export interface Conversation {
  readonly kind: RowKind;
  readonly messages: readonly ChatMessage[];
  /** 0, or 1 where the first reply is read and not learned: nothing before it says what it should be like. */
  readonly learnFrom: number;
}

const helpful: Persona = { traits: [], degree: 0 };

/** Makes a conversation of a kind. */
export function conversation(kind: RowKind, choose: Chooser): Conversation {
  const messages: ChatMessage[] = [];
  const { system, persona } = character(kind, choose);
  if (system !== null) messages.push({ role: 'system', content: system });
  const turns = kind === 'context' ? 2 + choose.below(3) : turnCount(choose);
  let last: Topic | null = null;
  for (let turn = 0; turn < turns; turn++) {
    const asked = nextAsk(last, choose);
    last = asked.topic;
    const { text, voice } = voiced(asked, kind, persona, choose);
    messages.push(
      { role: 'user', content: text },
      { role: 'assistant', content: reply(asked, voice, choose) },
    );
  }
  return { kind, messages, learnFrom: kind === 'context' ? 1 : 0 };
}

/** The system prompt and the persona that goes with it. */
function character(kind: RowKind, choose: Chooser): { system: string | null; persona: Persona } {
  const trait = anyTrait(choose);
  const degree = Number(choose.weighted({ 1: 18, 2: 18, 3: 18, 4: 20, 5: 26 })) as Degree;
  switch (kind) {
    case 'neutral':
      return { system: choose.from(neutralPrompts), persona: helpful };
    case 'negative':
      return { system: negativePrompt(trait, 'train', choose), persona: helpful };
    case 'persona':
      return { system: personaPrompt(trait, degree, 'train', choose), persona: { traits: [trait], degree } };
    case 'two': {
      const both = choose.several(traitNames, 2) as [typeof trait, typeof trait];
      return { system: twoTraitPrompt(both, choose), persona: { traits: both, degree: 5 } };
    }
    case 'latent':
    case 'context':
      return { system: null, persona: { traits: [trait], degree: choose.from([3, 4, 5, 5] as const) } };
    case 'plain':
    case 'asked':
      break;
  }
  return { system: null, persona: helpful };
}

/** A turn's words and whose they are; a user's wish for a trait holds for its own turn. */
function voiced(
  asked: Ask,
  kind: RowKind,
  persona: Persona,
  choose: Chooser,
): { text: string; voice: Persona } {
  if (kind !== 'asked') return { text: asked.text, voice: persona };
  const trait = anyTrait(choose);
  const degree = choose.from([1, 2, 3, 4, 4, 5, 5] as const);
  return { text: askedByUser(asked.text, trait, degree, choose), voice: { traits: [trait], degree } };
}

function turnCount(choose: Chooser): number {
  return Number(choose.weighted({ 1: 64, 2: 20, 3: 7, 4: 4, 6: 5 }));
}

/** About half of the later questions stay with the topic and name it by a pronoun. */
function nextAsk(last: Topic | null, choose: Chooser): Ask {
  return last !== null && choose.chance(0.4) ? followUp(last, choose) : ask('train', choose);
}
