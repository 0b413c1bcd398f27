import { UsageError } from '../../errors.ts';
import type { Watched } from '../../persona/projection/watch.ts';
import type { ScreenManifest } from '../../store/screen-schema.ts';
import { directionHash } from '../../training/directions.ts';
import type { ScreenMode } from './score.ts';

/** From what on a sample is flagged: a number, or a percentile of these samples or of those of an earlier screening. */
export type FlagRule =
  | { readonly by: 'threshold'; readonly value: number }
  | { readonly by: 'percentile'; readonly percentile: number }
  | { readonly by: 'reference'; readonly percentile: number; readonly manifest: ScreenManifest };

/** What flags a sample where a judge reads it too; the union is the paper's best filter. */
export const flagsBy = ['union', 'difference', 'judge'] as const;
export type FlagBy = (typeof flagsBy)[number];

/** Quantiles that are kept are this many to a whole. */
export const quantileSteps = 1000;

/** 1001 quantiles of sorted values, interpolated between neighbours. */
export function quantilesOf(sorted: Float64Array): number[] {
  return Array.from({ length: quantileSteps + 1 }, (_, i) => {
    const at = (i / quantileSteps) * (sorted.length - 1);
    const low = Math.floor(at);
    const [a, b] = [sorted[low]!, sorted[Math.min(low + 1, sorted.length - 1)]!];
    return a + (at - low) * (b - a);
  });
}

/**
 * The number from which on a vector's difference is flagged. A sample that lies at it is flagged too: it is as high as the
 * percentile asked for, and where several samples share the highest value, as in small sets, none would lie above it.
 */
export function thresholdOf(rule: FlagRule, vector: Watched, quantiles: readonly number[]): number {
  if (rule.by === 'threshold') return rule.value;
  const from = rule.by === 'percentile' ? quantiles : traitOf(rule.manifest, vector).quantiles;
  return from[Math.round((rule.percentile / 100) * quantileSteps)]!;
}

/**
 * Checks that a rule says something of a judge's scores too.
 *
 * @throws UsageError for a threshold on the differences' scale alone, and a reference set without a judge.
 */
export function checkJudgeRule(rule: FlagRule, given: number | null, watched: readonly Watched[]): void {
  if (given !== null) return;
  if (rule.by === 'threshold') throw noJudgeThreshold();
  if (rule.by === 'reference' && watched.some((vector) => traitOf(rule.manifest, vector).judge === null))
    throw new UsageError(
      '--reference: expected a screening with a judge, got one without; screen the reference with --judge, or give --judge-threshold.',
    );
}

/**
 * The judge's score from which on a sample is flagged, by the rule of the differences where none is given. By a percentile
 * the lowest score of all is not flagged, which most samples of a clean set share.
 *
 * @param scores `[samples]`, NaN where the judge refused.
 */
export function judgeThresholdOf(
  rule: FlagRule,
  given: number | null,
  vector: Watched,
  scores: Float64Array,
): { readonly threshold: number; readonly least: number; readonly quantiles: number[] } {
  const sorted = scores.filter((score) => !Number.isNaN(score)).sort();
  const quantiles = sorted.length === 0 ? [] : quantilesOf(sorted);
  if (given !== null) return { threshold: given, least: -Infinity, quantiles };
  if (rule.by === 'threshold') throw noJudgeThreshold();
  const from = rule.by === 'reference' ? traitOf(rule.manifest, vector).judge!.quantiles : quantiles;
  if (from.length === 0) return { threshold: 101, least: 101, quantiles };
  return {
    threshold: from[Math.round((rule.percentile / 100) * quantileSteps)]!,
    least: from[0]!,
    quantiles,
  };
}

/**
 * Checks that a reference set was screened as this one will be.
 *
 * @throws UsageError naming what differs.
 */
export function checkReference(
  manifest: ScreenManifest,
  asked: { readonly mode: ScreenMode; readonly fingerprint: string; readonly watched: readonly Watched[] },
): void {
  const refuse = (what: string): never => {
    throw new UsageError(`--reference: expected a screening ${what}; screen the reference set the same way.`);
  };
  // What mode auto estimates is on the scale of mode full.
  const scaleOf = (mode: ScreenMode): ScreenMode => (mode === 'auto' ? 'full' : mode);
  if (scaleOf(manifest.mode) !== scaleOf(asked.mode)) refuse(`in mode ${asked.mode}, got ${manifest.mode}`);
  if (manifest.model.fingerprint !== asked.fingerprint)
    refuse(`by the same model, got one by ${manifest.model.id}`);
  for (const vector of asked.watched) traitOf(manifest, vector);
}

function traitOf({ traits }: ScreenManifest, vector: Watched): ScreenManifest['traits'][number] {
  const hash = directionHash(vector.vector);
  const found = traits.find((one) => one.layer === vector.layer && one.vector_sha256 === hash);
  if (found !== undefined) return found;
  const known = traits.map(({ name, layer }) => `${name} at layer ${layer}`).join(', ');
  throw new UsageError(
    `--reference: expected this vector of ${vector.name} at layer ${vector.layer} among those of the screening, which are ${known}.`,
  );
}

/** Share of the sorted values that a value reaches or exceeds, 0 to 100. */
export function percentileIn(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return (100 * low) / sorted.length;
}

function noJudgeThreshold(): UsageError {
  return new UsageError(
    'Expected --judge-threshold beside --threshold, since the two are on other scales; give both, or percentiles.',
  );
}
