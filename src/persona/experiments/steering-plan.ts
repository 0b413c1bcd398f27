import type { Intervention, Positions } from '../../engine/types.ts';
import type { ChatMessage } from '../../model/chat-template.ts';
import type { ScoredRollout } from '../../store/rollout-schema.ts';
import {
  type Condition,
  type NumberedQuestion,
  planConditions,
  randomDirection,
  untouched,
} from '../condition.ts';
import type { PlannedRollout } from '../rollouts.ts';
import { type StrengthUnit, coefficientOf } from '../strength.ts';
import type { Trait } from '../trait.ts';
import type { PersonaVector } from '../vector.ts';

/** What the plans of one steering experiment share. */
export interface SteeringSettings {
  readonly vector: PersonaVector;
  readonly layer: number;
  readonly positions: Positions;
  readonly unit: StrengthUnit;
  /** Above 0, rising; each is run with its sign turned on the prompted model. */
  readonly strengths: readonly number[];
  /** The trait's positive instructions, taken in turn. */
  readonly systems: readonly string[];
  readonly questions: readonly NumberedQuestion[];
  /** Replies to a question under a condition. */
  readonly samples: number;
  readonly seed: number;
}

/** Which model is steered: one told to show the trait, or one told nothing. */
export type Side = 'prompted' | 'neutral';

/** One condition of the doses. */
export interface Dose {
  readonly side: Side;
  readonly direction: Condition['direction'];
  /** In the unit of the strengths, with its sign. */
  readonly strength: number;
  readonly condition: Condition;
}

/** −α on the prompted model and +α on the neutral one, by the vector and by a random direction of the same norm. */
export function dosesOf(settings: SteeringSettings): Dose[] {
  const { vector, layer, unit, strengths, systems, seed } = settings;
  const directions = {
    trait: vector.direction(layer),
    random: randomDirection(vector.width, vector.norm(layer), seed, 'steering', layer),
  };
  const dose = (side: Side, direction: 'trait' | 'random', size: number): Dose => {
    const strength = side === 'prompted' ? -size : size;
    const condition: Condition = {
      id: `${side} ${direction}*${strength}`,
      direction,
      draw: direction === 'random' ? 0 : null,
      layer,
      strength,
      coef: coefficientOf(vector, layer, strength, unit),
      vector: directions[direction],
      systems: side === 'prompted' ? systems : [],
    };
    return { side, direction, strength, condition };
  };
  return (['prompted', 'neutral'] as const).flatMap((side) => [
    {
      side,
      direction: 'none' as const,
      strength: 0,
      condition: { ...untouched, id: `${side} unsteered`, systems: side === 'prompted' ? systems : [] },
    },
    ...(['trait', 'random'] as const).flatMap((direction) =>
      strengths.map((size) => dose(side, direction, size)),
    ),
  ]);
}

/** The rollouts of some conditions; those of one question and sample share their random numbers, steered or not. */
export function planSteered(
  conditions: readonly Condition[],
  { questions, samples, positions }: SteeringSettings,
): PlannedRollout[] {
  return planConditions(conditions, { step: 'steering', questions, samples, positions });
}

/** Ordinary replies: to the extraction's questions, by the model as it is. */
export function planOrdinary(
  { questions }: Pick<Trait, 'questions'>,
  settings: SteeringSettings,
): PlannedRollout[] {
  const numbered = questions.map((text, index) => ({ index, text }));
  return planSteered([{ ...untouched, id: 'ordinary' }], { ...settings, questions: numbered });
}

/** The rollouts of both sides under interventions that are no strength, such as a cap. */
export function planUnder(
  name: string,
  interventions: readonly Intervention[],
  settings: SteeringSettings,
): PlannedRollout[] {
  return (['prompted', 'neutral'] as const).flatMap((side) => {
    const systems = side === 'prompted' ? settings.systems : [];
    const plain = planSteered([{ ...untouched, id: `${side} ${name}`, systems }], settings);
    return plain.map((rollout) => ({ ...rollout, interventions }));
  });
}

/** One way to hold a conversation. */
export interface ConversationArm {
  readonly id: string;
  readonly history: 'clean' | 'steered';
  readonly system: string | null;
  readonly interventions: readonly Intervention[];
}

/**
 * The next turn of every conversation of every arm. Conversation c asks the questions from its own place on, so that every
 * turn has the same questions and turns can be compared.
 *
 * @param earlier The rollouts of the turns before, each in this function's order.
 */
export function planTurn(
  arms: readonly ConversationArm[],
  earlier: readonly (readonly ScoredRollout[])[],
  { questions, samples }: Pick<SteeringSettings, 'questions' | 'samples'>,
): PlannedRollout[] {
  const turn = earlier.length;
  const conversations = questions.length * samples;
  return arms.flatMap(({ id, history, system, interventions }, a) =>
    Array.from({ length: conversations }, (_, c): PlannedRollout => {
      const { index, text } = questions[(Math.floor(c / samples) + turn) % questions.length]!;
      const turns = earlier.flatMap((rows): ChatMessage[] => {
        const { question, text: reply } = rows[a * conversations + c]!;
        return [
          { role: 'user', content: question },
          // A template has no place for an empty reply.
          { role: 'assistant', content: reply.trim() === '' ? '…' : reply.trim() },
        ];
      });
      const ids = { arm: id, conversation: c, turn: turn + 1, question: index };
      const key = Object.values(ids).join('/');
      return {
        key,
        ids,
        system,
        question: text,
        turns,
        history,
        stream: `conversation/${c}/${turn}`,
        interventions,
      };
    }),
  );
}
