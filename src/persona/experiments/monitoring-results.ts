import { mean, sampleStandardDeviation } from 'simple-statistics';
import { bootstrapInterval } from '../bootstrap.ts';
import { pearson } from '../statistics.ts';
import type { MonitoringCondition } from './monitoring-plan.ts';

/** A condition and question: where the model stood before it replied, and how its replies scored. */
export interface MonitoringPoint {
  readonly condition: string;
  readonly method: MonitoringCondition['method'];
  readonly level: number;
  readonly question: number;
  /** At the last prompt token. */
  readonly projection: number;
  /** Mean trait score of the replies that were scored; null where none was. */
  readonly score: number | null;
  readonly replies: number;
}

/** A correlation and its 95 % interval; null where one side does not vary. */
export interface Correlation {
  readonly r: number | null;
  readonly lower: number | null;
  readonly upper: number | null;
}

export interface MethodResult {
  readonly method: MonitoringCondition['method'];
  readonly points: number;
  readonly overall: Correlation;
  /** Mean over the conditions whose scores vary (standard deviation of 1 or more). */
  readonly within: Correlation;
  /** Conditions that `within` is a mean over, and those in all. */
  readonly varying: number;
  readonly conditions: number;
  readonly random: {
    readonly directions: number;
    /** 95th percentile of their |r|. */
    readonly r95: number | null;
    /** Share of random directions with a smaller |r|, 0 to 100. */
    readonly percentile: number | null;
  };
}

/** Below this spread of scores a condition says nothing of how they vary. */
const leastSpread = 1;
const resamples = 1000;

/**
 * The correlations of a method's points. Intervals are percentile bootstraps over questions, because points that share a
 * question are not independent. `random[i]` are the same points' projections on random directions.
 */
export function summariseMethod(
  points: readonly MonitoringPoint[],
  random: readonly (readonly number[])[],
  seed: number,
): MethodResult {
  const { method } = points[0]!;
  const r = overallR(points);
  const others = random.flatMap((projections) => {
    const value = overallR(points.map((point, i) => ({ ...point, projection: projections[i]! })));
    return value === null ? [] : [Math.abs(value)];
  });
  others.sort((a, b) => a - b);
  const conditions = [...new Set(points.map(({ condition }) => condition))];
  const smaller = others.filter((other) => r !== null && other < Math.abs(r)).length;
  return {
    method,
    points: points.length,
    overall: withInterval(points, overallR, seed),
    within: withInterval(points, withinR, seed),
    varying: conditions.filter((id) => conditionR(points, id) !== null).length,
    conditions: conditions.length,
    random: {
      directions: random.length,
      r95:
        others.length === 0
          ? null
          : others[Math.min(others.length - 1, Math.ceil(0.95 * others.length) - 1)]!,
      percentile: r === null || others.length === 0 ? null : (100 * smaller) / others.length,
    },
  };
}

type Statistic = (points: readonly MonitoringPoint[]) => number | null;

/** r over all points. */
export function overallR(points: readonly MonitoringPoint[]): number | null {
  const scored = points.filter(({ score }) => score !== null);
  return pearson(
    scored.map(({ projection }) => projection),
    scored.map(({ score }) => score!),
  );
}

/** Mean of r within each condition whose scores vary. */
function withinR(points: readonly MonitoringPoint[]): number | null {
  const all = [...new Set(points.map(({ condition }) => condition))].flatMap(
    (condition) => conditionR(points, condition) ?? [],
  );
  return all.length === 0 ? null : mean(all);
}

function conditionR(points: readonly MonitoringPoint[], condition: string): number | null {
  const own = points.filter((point) => point.condition === condition);
  const scores = own.flatMap(({ score }) => score ?? []);
  if (scores.length < 3 || sampleStandardDeviation(scores) < leastSpread) return null;
  return overallR(own);
}

function withInterval(points: readonly MonitoringPoint[], statistic: Statistic, seed: number): Correlation {
  const questions = [...new Set(points.map(({ question }) => question))];
  const byQuestion = questions.map((question) => points.filter((point) => point.question === question));
  const interval = bootstrapInterval(
    questions.length,
    (units) => statistic(Array.from(units, (unit) => byQuestion[unit]!).flat()) ?? NaN,
    { name: ['monitoring', seed], resamples },
  );
  return { r: statistic(points), lower: interval?.lower ?? null, upper: interval?.upper ?? null };
}
