import { type Interval, bootstrapInterval } from '../bootstrap.ts';
import { wilsonInterval } from '../statistics.ts';

/** A question's outcome. */
export interface Outcome {
  /** Questions of one unit are drawn together by the bootstrap, because they ask for the same thing. */
  readonly unit: string;
  readonly correct: boolean;
}

/** Share of right answers, 0 to 1. */
export interface Accuracy {
  readonly questions: number;
  readonly correct: number;
  readonly accuracy: number | null;
  /** Wilson's 95 % interval: every question for itself. */
  readonly wilson: Interval | null;
  /** 95 % of the accuracies of units drawn with replacement. */
  readonly bootstrap: Interval | null;
}

/** Summarises outcomes; `name` names the bootstrap's random numbers. */
export function summariseAccuracy(
  outcomes: readonly Outcome[],
  ...name: readonly (string | number)[]
): Accuracy {
  const correct = outcomes.filter((outcome) => outcome.correct).length;
  const units = new Map<string, { count: number; right: number }>();
  for (const outcome of outcomes) {
    const unit = units.get(outcome.unit) ?? { count: 0, right: 0 };
    unit.count++;
    unit.right += outcome.correct ? 1 : 0;
    units.set(outcome.unit, unit);
  }
  const list = [...units.values()];
  const share = (drawn: Int32Array): number => {
    let [count, right] = [0, 0];
    for (const i of drawn) {
      count += list[i]!.count;
      right += list[i]!.right;
    }
    return right / count;
  };
  return {
    questions: outcomes.length,
    correct,
    accuracy: outcomes.length === 0 ? null : correct / outcomes.length,
    wilson: wilsonInterval(correct, outcomes.length),
    bootstrap: bootstrapInterval(list.length, share, { name: ['accuracy', ...name] }),
  };
}
