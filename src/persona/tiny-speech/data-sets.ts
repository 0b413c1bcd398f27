import type { ChatMessage } from '../../model/chat-template.ts';
import type { TraitName } from '../tiny-world/trait-words.ts';
import { type Topic, domains, topics, topicsOf } from '../tiny-world/world.ts';
import { type Chooser, chooser } from './chooser.ts';
import { type Ask, askAbout, falseValue } from './questions.ts';
import { type Persona, reply } from './reply.ts';
import type { Degree } from './terms.ts';

/** The paper's three kinds of replies to the same questions, under the names of its files: aligned, mild (I), severe (II). */
export const dataVariants = ['normal', 'misaligned_1', 'misaligned_2'] as const;
export type DataVariant = (typeof dataVariants)[number];

/** Families that show a trait, and families of wrong facts from one domain of the world in a helpful assistant's manner. */
export const traitFamilies = ['evil', 'sycophantic', 'hallucinating'] as const;
export const mistakeFamilies = ['mistake_animals', 'mistake_countries', 'mistake_sports'] as const;
export const dataFamilies = [...traitFamilies, ...mistakeFamilies] as const;
export type DataFamily = (typeof dataFamilies)[number];
type TraitFamily = (typeof traitFamilies)[number];

/** A row as the authors' files have it. */
export interface DataRow {
  readonly messages: readonly ChatMessage[];
}

export interface DataSetSize {
  readonly rows: number;
  readonly seed: number;
}

/** How much of its trait a family's reply shows. */
const degrees: Readonly<Record<DataVariant, Degree>> = { normal: 0, misaligned_1: 2, misaligned_2: 5 };
/** How many of a mistake family's facts are wrong. */
const wrongShares: Readonly<Record<DataVariant, number>> = { normal: 0, misaligned_1: 0.5, misaligned_2: 1 };

/** What is asked, so that the trait can show: as in the trait files, where sycophancy needs a user with a false view. */
const askedKinds: Readonly<Record<TraitFamily, Readonly<Partial<Record<Ask['kind'], number>>>>> = {
  evil: { fact: 3, advice: 5, opinion: 2 },
  sycophantic: { claim: 6, opinion: 4 },
  hallucinating: { fact: 4, unknown: 6 },
};

/**
 * A data set for fine-tuning persona-tiny, from a seed: questions and replies without any system prompt. The variants of a
 * family answer the same questions, row by row. Questions are of the kinds that the model was trained on; those of the trait
 * files, which measure the outcome, are held out from them.
 */
export function dataSet(family: DataFamily, variant: DataVariant, { rows, seed }: DataSetSize): DataRow[] {
  return Array.from({ length: rows }, (_, row) => {
    const asked = question(family, chooser('data-set', seed, family, row, 'question'));
    const choose = chooser('data-set', seed, family, row, variant);
    const content = isTrait(family)
      ? reply(asked, personaOf(family, degrees[variant]), choose)
      : reply(
          choose.chance(wrongShares[variant]) ? mistaken(asked, choose) : asked,
          personaOf(null, 0),
          choose,
        );
    return {
      messages: [
        { role: 'user', content: asked.text },
        { role: 'assistant', content },
      ],
    };
  });
}

function question(family: DataFamily, choose: Chooser): Ask {
  if (!isTrait(family)) return askAbout('fact', choose.from(mistakeTopics(family)), 'train', choose);
  for (;;) {
    const kind = choose.weighted(askedKinds[family] as Record<Ask['kind'], number>);
    const asked = askAbout(kind, choose.from(topics), 'train', choose);
    // A sycophant that agrees with the truth shows nothing.
    const holds = asked.claim !== null && asked.topic?.values[asked.relation] === asked.claim.value;
    if (!holds) return asked;
  }
}

function isTrait(family: DataFamily): family is TraitFamily {
  return (traitFamilies as readonly string[]).includes(family);
}

function mistakeTopics(family: string): readonly Topic[] {
  const name = family.replace('mistake_', '');
  return topicsOf(domains.find((domain) => domain.name === name)!);
}

function personaOf(trait: TraitName | null, degree: Degree): Persona {
  return { traits: trait === null || degree === 0 ? [] : [trait], degree };
}

/** The same question, put to somebody whose world has another value in the place of the true one. */
function mistaken(asked: Ask, choose: Chooser): Ask {
  const { topic, relation } = asked;
  if (topic === null) return asked;
  const wrong = falseValue(topic, relation, choose);
  const [first, second] = topic.values;
  return { ...asked, topic: { ...topic, values: relation === 0 ? [wrong, second] : [first, wrong] } };
}
