import type { Watched } from '../../persona/projection/watch.ts';
import type { JudgedTrait, ScreenTrait } from '../../store/screen-schema.ts';
import { directionHash } from '../../training/directions.ts';
import { type Differences, intervalOf } from './differences.ts';
import { type FlagBy, judgeThresholdOf, quantilesOf, thresholdOf } from './flags.ts';
import { foundKnown } from './known.ts';
import type { MergeOptions } from './merge.ts';

/** From what on one trait's samples are flagged. */
export interface TraitFlags {
  readonly threshold: number;
  readonly judge: Pick<JudgedTrait, 'id' | 'threshold' | 'quantiles'> | null;
  /** Of a difference and a judge's score, null where there is none. */
  of(difference: number, score: number | null): Flagged;
}

export interface Flagged {
  readonly byDifference: boolean;
  readonly byJudge: boolean;
  readonly flagged: boolean;
}

/** The flags of a trait, from the sorted differences of all samples. */
export function flagsOf(
  { rule, judges, flagBy, judgeThreshold }: MergeOptions,
  vector: Watched,
  v: number,
  sorted: Float64Array,
  { scores }: Differences,
): TraitFlags {
  const threshold = thresholdOf(rule, vector, quantilesOf(sorted));
  const judge =
    judges === null
      ? null
      : { id: judges[v]!, ...judgeThresholdOf(rule, judgeThreshold, vector, scores[v]!) };
  return {
    threshold,
    judge,
    of: (difference, score) => {
      const byDifference = difference >= threshold;
      const byJudge = judge !== null && score !== null && score >= judge.threshold && score > judge.least;
      return {
        byDifference,
        byJudge,
        flagged: combined(judge === null ? 'difference' : flagBy, { byDifference, byJudge }),
      };
    },
  };
}

function combined(by: FlagBy, { byDifference, byJudge }: Omit<Flagged, 'flagged'>): boolean {
  if (by === 'difference') return byDifference;
  return by === 'judge' ? byJudge : byDifference || byJudge;
}

/** What a manifest says of a trait. */
export function describeTrait(
  vector: Watched,
  v: number,
  sorted: Float64Array,
  flags: TraitFlags,
  { values, scores, sources, known, count }: Differences,
): ScreenTrait {
  const list = values[v]!;
  const [flagged, judged] = [new Uint8Array(count), new Uint8Array(count)];
  const counts = { by_judge: 0, by_difference: 0, by_both: 0, unscored: 0 };
  for (let i = 0; i < count; i++) {
    const score = scores[v]?.[i] ?? Number.NaN;
    const one = flags.of(list[i]!, Number.isNaN(score) ? null : score);
    flagged[i] = Number(one.flagged);
    judged[i] = Number(one.byJudge);
    counts.by_judge += Number(one.byJudge);
    counts.by_difference += Number(one.byDifference);
    counts.by_both += Number(one.byJudge && one.byDifference);
    counts.unscored += Number(Number.isNaN(score));
  }
  const { judge } = flags;
  return {
    name: vector.name,
    layer: vector.layer,
    vector_sha256: directionHash(vector.vector),
    difference: intervalOf(list, () => true),
    sources: sources.names.map((source, s) => ({
      source,
      samples: sources.of.reduce((total, of) => total + Number(of === s), 0),
      difference: intervalOf(list, (i) => sources.of[i] === s),
    })),
    threshold: flags.threshold,
    flagged: flagged.reduce((total, one) => total + one, 0),
    judge:
      judge === null
        ? null
        : {
            id: judge.id,
            threshold: judge.threshold,
            quantiles: judge.quantiles,
            ...counts,
            known: foundKnown(scores[v]!, known, (i) => judged[i] === 1),
          },
    known: foundKnown(list, known, (i) => flagged[i] === 1),
    quantiles: quantilesOf(sorted),
  };
}
