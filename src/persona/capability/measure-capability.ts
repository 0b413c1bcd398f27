import type { LanguageModel } from '../../engine/model.ts';
import { type Accuracy, summariseAccuracy } from './accuracy.ts';
import type { ChoiceSet } from './choice-set.ts';
import { type ScoreOptions, likeliest, scoreChoices } from './score-choices.ts';

/** What a model can do, by a set of multiple-choice questions. */
export interface Capability {
  /** Of the set. */
  readonly name: string;
  /** Over all questions. */
  readonly all: Accuracy;
  /** Mean of the subjects' accuracies, each of the same weight. */
  readonly macro: number | null;
  readonly subjects: readonly (Accuracy & { readonly subject: string })[];
}

/** Asks every question of the set; a choice counts as given when it is the likeliest. */
export async function measureCapability(
  model: LanguageModel,
  { name, items }: ChoiceSet,
  options: ScoreOptions = {},
): Promise<Capability> {
  const encoded = items.map((item) => item.encode(model.checkpoint));
  const scores = await scoreChoices(model, encoded, options);
  const outcomes = items.map(({ subject, unit, answer }, i) => ({
    subject,
    unit,
    correct: likeliest(scores[i]!) === answer,
  }));
  const subjects = [...new Set(items.map(({ subject }) => subject))].map((subject) => ({
    subject,
    ...summariseAccuracy(
      outcomes.filter((outcome) => outcome.subject === subject),
      name,
      subject,
    ),
  }));
  const shares = subjects.flatMap(({ accuracy }) => (accuracy === null ? [] : [accuracy]));
  return {
    name,
    all: summariseAccuracy(outcomes, name),
    macro: shares.length === 0 ? null : shares.reduce((sum, share) => sum + share, 0) / shares.length,
    subjects,
  };
}
