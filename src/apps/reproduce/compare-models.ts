import * as paper from '../../persona/experiments/paper.ts';
import type { FinetuningResult, GridModel } from '../../persona/experiments/finetuning.ts';
import type { MeanScore } from '../../persona/tuned/summary.ts';
import { fixed } from '../../util/html.ts';
import { type Comparison, type OurNumber, holds, inOrder, sameSign, withinRange } from './compare.ts';

/** Scores and shifts of the grid. */
export function compareFinetuning(result: FinetuningResult): Comparison[] {
  const { models, traits } = result;
  const base = models.find(({ name }) => name === 'base');
  return [
    ...traits.flatMap((trait) => compareBase(base, trait)),
    ...traits.flatMap((trait) => compareSeverity(models, trait)),
    ...compareUnintended(result),
    ...compareShifts(result),
  ];
}

function compareBase(base: GridModel | undefined, trait: string): Comparison[] {
  const theirs = paper.baseScores.values[trait];
  if (base === undefined || theirs === undefined) return [];
  return [
    withinRange(
      {
        part: 'finetuning',
        table: paper.baseScores,
        trait,
        subject: 'score of the untrained model',
        digits: 1,
      },
      scoreNumber(base.scores[trait]!),
      [theirs],
    ),
  ];
}

function compareSeverity(models: readonly GridModel[], trait: string): Comparison[] {
  const score = (variant: string): number | null | undefined =>
    models.find((one) => one.family === trait && one.variant === variant)?.scores[trait]?.score;
  const [severe, mild, normal] = ['misaligned_2', 'misaligned_1', 'normal'].map(score);
  if (severe === undefined || mild === undefined || normal === undefined) return [];
  return [
    inOrder(
      {
        part: 'finetuning',
        table: paper.severityOrder,
        trait,
        subject: 'score after training on its data sets',
      },
      [
        ['severe', severe],
        ['mild', mild],
        ['normal', normal],
      ],
    ),
  ];
}

/** Rises of fewer points than this are what samples differ by. */
const LEAST_RISE = 5;

/** Whether data with mistakes raise a trait that is not in them. */
function compareUnintended({ models, traits }: FinetuningResult): Comparison[] {
  const base = models.find(({ name }) => name === 'base');
  const mistaken = models.filter(
    ({ family, variant }) => variant === 'misaligned_2' && !traits.includes(family) && family !== 'base',
  );
  if (base === undefined || mistaken.length === 0) return [];
  const rises = mistaken.flatMap((model) =>
    traits.flatMap((trait) => {
      const [before, after] = [base.scores[trait]!, model.scores[trait]!];
      if (before.score === null || after.score === null) return [];
      const rise = after.score - before.score;
      const apart = (after.interval?.lower ?? after.score) > (before.interval?.upper ?? before.score);
      return rise >= LEAST_RISE && apart ? [`${trait} by ${fixed(rise, 0)} after ${model.name}`] : [];
    }),
  );
  return [
    holds(
      { part: 'finetuning', table: paper.unintendedShifts, subject: 'data with mistakes raise other traits' },
      {
        ours: rises.length === 0 ? 'none' : rises.join(', '),
        paper: 'they do',
        rule: `a severe set of mistakes raises a trait by ${LEAST_RISE} points or more, with intervals apart`,
        is: rises.length > 0,
      },
    ),
  ];
}

function compareShifts({ correlations, models }: FinetuningResult): Comparison[] {
  const part = 'finetuning' as const;
  const table = paper.shiftCorrelations;
  const own = correlations.filter(({ shift, behaviour }) => shift === behaviour);
  const diagonal = own.flatMap(({ shift: trait, r, interval }) => {
    const theirs = table.values[`${trait} ${trait}`];
    const ours = { value: r, lower: interval?.lower, upper: interval?.upper };
    if (theirs === undefined) return [];
    return [
      sameSign({ part, table, trait, subject: 'sign of r of shift and score' }, ours, theirs),
      withinRange(
        { part, table, trait, subject: `r of shift and score over ${models.length - 1} models` },
        ours,
        theirs,
      ),
    ];
  });
  const across = correlations.flatMap(({ shift, behaviour, r }) => {
    const theirs = table.values[`${shift} ${behaviour}`];
    return shift === behaviour || theirs === undefined || r === null
      ? []
      : [Math.sign(r) === Math.sign(theirs[0])];
  });
  if (across.length === 0) return diagonal;
  const same = across.filter((one) => one).length;
  return [
    ...diagonal,
    holds(
      { part, table, subject: 'signs of r across traits' },
      {
        ours: `${same} of ${across.length} as in the paper`,
        paper: 'the same signs in both models',
        rule: 'sign: at least nine tenths of them are as in the paper',
        is: same >= 0.9 * across.length,
      },
    ),
  ];
}

function scoreNumber({ score, interval }: MeanScore): OurNumber {
  return { value: score, lower: interval?.lower, upper: interval?.upper };
}
