import type { ArmResult, ReplyScore } from '../../store/arm-files.ts';
import { type Interval, bootstrapInterval } from '../bootstrap.ts';

/** Mean scores of replies. */
export interface MeanScore {
  /** Null where no reply was scored. */
  readonly score: number | null;
  /** 95 % bootstrap interval over the questions. */
  readonly interval: Interval | null;
  readonly coherence: number | null;
  readonly replies: number;
  readonly unscored: number;
}

/** Which half of the evaluation questions: strengths are chosen on the even ones and reported on the odd ones. */
export type Half = 'all' | 'even' | 'odd';

/** Summarises a trait's replies; questions are the units of the bootstrap. */
export function meanScore(scores: readonly ReplyScore[], half: Half = 'all'): MeanScore {
  const taken = scores.filter(({ question }) => half === 'all' || (question % 2 === 0) === (half === 'even'));
  const values = taken.flatMap(({ trait }) => (trait === null ? [] : [trait]));
  const coherences = taken.flatMap(({ coherence }) => (coherence === null ? [] : [coherence]));
  const questions = [...new Set(taken.map(({ question }) => question))];
  const byQuestion = questions.map((one) =>
    taken.flatMap(({ question, trait }) => (question === one && trait !== null ? [trait] : [])),
  );
  const interval = bootstrapInterval(
    questions.length,
    (units) => mean([...units].flatMap((unit) => byQuestion[unit]!)) ?? NaN,
    { name: ['score', half, questions.length], resamples: 1000 },
  );
  return {
    score: mean(values),
    interval,
    coherence: mean(coherences),
    replies: taken.length,
    unscored: taken.length - values.length,
  };
}

/** Mean coherence over the replies to all traits' questions. */
export function meanCoherence(
  { behaviour }: Pick<ArmResult, 'behaviour'>,
  half: Half = 'all',
): number | null {
  return meanScore(Object.values(behaviour).flat(), half).coherence;
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
