import { type Interval, bootstrapInterval } from '../bootstrap.ts';
import { pearson } from '../statistics.ts';

/** A model of the grid: what it was trained on, its shifts and its scores by trait. */
export interface GridPoint {
  readonly family: string;
  readonly shifts: Readonly<Record<string, number>>;
  readonly scores: Readonly<Record<string, number | null>>;
}

/** How well a shift along one trait's vector tells the score of a trait, over the models of the grid. */
export interface ShiftCorrelation {
  /** Of the shift; the matrix's row. */
  readonly shift: string;
  /** Of the behaviour; the matrix's column. */
  readonly behaviour: string;
  /** Pearson's r; null where one side is constant. */
  readonly r: number | null;
  /** 95 % bootstrap interval over the models. */
  readonly interval: Interval | null;
  /** r over the models whose data do not show the trait of the behaviour. */
  readonly others: number | null;
  readonly models: number;
}

/** Every trait's shift against every trait's score. */
export function correlationMatrix(
  points: readonly GridPoint[],
  traits: readonly string[],
): ShiftCorrelation[] {
  return traits.flatMap((shift) =>
    traits.map((behaviour): ShiftCorrelation => {
      const usable = points.filter((point) => point.scores[behaviour] != null && shift in point.shifts);
      const xs = usable.map((point) => point.shifts[shift]!);
      const ys = usable.map((point) => point.scores[behaviour]!);
      const others = usable.flatMap(({ family }, i) => (family === behaviour ? [] : [i]));
      return {
        shift,
        behaviour,
        r: pearson(xs, ys),
        interval: bootstrapInterval(
          xs.length,
          (units) =>
            pearson(
              [...units].map((i) => xs[i]!),
              [...units].map((i) => ys[i]!),
            ) ?? NaN,
          { name: ['shift-score', shift, behaviour], resamples: 1000 },
        ),
        others: pearson(
          others.map((i) => xs[i]!),
          others.map((i) => ys[i]!),
        ),
        models: xs.length,
      };
    }),
  );
}
