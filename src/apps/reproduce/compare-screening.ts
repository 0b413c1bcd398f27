import * as paper from '../../persona/experiments/paper.ts';
import type { Foretold } from '../screen/estimates.ts';
import type { ScreenedTraitResult, ScreeningExperimentResult } from '../screen/experiment.ts';
import { type Comparison, type OurNumber, bounded, inOrder, sameSign, withinRange } from './compare.ts';

const part = 'screening';

/** What screening foretold. */
export function compareScreening({ traits }: ScreeningExperimentResult): Comparison[] {
  return traits.flatMap((trait) => [
    ...compareEstimates(trait),
    ...compareShift(trait),
    ...compareSeparation(trait),
    compareSubsets(trait),
  ]);
}

/** r of each way of screening with the score after training. */
function compareEstimates({ name, estimates }: ScreenedTraitResult): Comparison[] {
  const [full, last, raw] = ['full', 'prompt-last', 'raw'].map((mode) =>
    estimates.find((one) => one.mode === mode),
  );
  const single = (
    subject: string,
    table: typeof paper.screenedRaw,
    ours: Foretold | undefined,
  ): Comparison[] => {
    const theirs = table.values[name];
    if (theirs === undefined) return [];
    return [withinRange({ part, table, trait: name, subject }, numberOf(ours), [theirs])];
  };
  const table = paper.screenedFull;
  return [
    sameSign(
      { part, table, trait: name, subject: 'sign of r of difference and score' },
      numberOf(full),
      table.values,
    ),
    withinRange(
      { part, table, trait: name, subject: 'r of difference and score' },
      numberOf(full),
      table.values,
    ),
    ...single('r by the last prompt token', paper.screenedPromptLast, last),
    ...single('r by the projection alone', paper.screenedRaw, raw),
    inOrder(
      { part, table: paper.rawIsWorse, trait: name, subject: 'r by difference against by projection' },
      [
        ['difference', full?.r ?? null],
        ['projection', raw?.r ?? null],
      ],
      2,
    ),
  ];
}

function compareShift({ name, shift }: ScreenedTraitResult): Comparison[] {
  const table = paper.differenceAndShift;
  const theirs = table.values[name];
  if (theirs === undefined) return [];
  return [
    withinRange({ part, table, trait: name, subject: 'r of difference and shift' }, numberOf(shift), theirs),
  ];
}

/** A replication has 0.995 and more; below this, two sets are not told apart highly. */
const LEAST_AREA = 0.95;

function compareSeparation({ name, separations }: ScreenedTraitResult): Comparison[] {
  const theirs = paper.separation.values[name];
  const own = separations.find(({ family }) => family === name);
  if (theirs === undefined || own === undefined) return [];
  const subject = 'AUROC of severe rows against normal ones';
  const place = { part, table: paper.separation, trait: name, subject, digits: 3 } as const;
  return [bounded(place, { value: own.auroc }, { least: LEAST_AREA })];
}

function compareSubsets({ name, subsets: { high, random, low } }: ScreenedTraitResult): Comparison {
  return inOrder(
    { part, table: paper.subsetOrder, trait: name, subject: 'score after training on what lies' },
    [
      ['high', high.score],
      ['random', random.score],
      ['low', low.score],
    ],
  );
}

function numberOf(one: Foretold | undefined): OurNumber {
  return { value: one?.r ?? null, lower: one?.interval?.lower, upper: one?.interval?.upper };
}
