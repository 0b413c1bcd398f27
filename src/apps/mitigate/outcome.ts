import type { ArmResult } from '../../store/arm-files.ts';
import { type MeanScore, meanCoherence, meanScore } from '../../persona/tuned/summary.ts';
import type { PlannedArm } from './arms.ts';

/** A measured arm. */
export interface ArmOutcome {
  readonly name: string;
  readonly treatment: string;
  readonly strength: number | null;
  readonly probe: boolean;
  /** Of the trait that is to be kept out, on the questions that choose and on those that report. */
  readonly choosing: MeanScore;
  readonly reporting: MeanScore;
  /** Of every measured trait, on all questions. */
  readonly scores: Readonly<Record<string, MeanScore>>;
  /** Over the replies to all traits' questions: of each half, and of all. */
  readonly coherence: {
    readonly choosing: number | null;
    readonly reporting: number | null;
    readonly all: number | null;
  };
  readonly capability: ArmResult['capability'];
  /** Of the trait's rise by plain fine-tuning, the share that is gone, on the questions that report. */
  readonly removed: number | null;
  /** Whether it is the strength of its treatment that the choosing half prefers. */
  readonly chosen: boolean;
}

/** How much worse than plain fine-tuning capability may be, as a share, before a strength is not chosen. */
const CAPABILITY_MARGIN = 0.03;

/**
 * What every arm came to, and which strength of each treatment is chosen: on every second question, the lowest score
 * of the trait that keeps coherence at the floor and capability within three points of plain fine-tuning; where none does, the
 * most coherent.
 */
export function outcomes(
  arms: readonly (readonly [PlannedArm, ArmResult])[],
  trait: string,
  coherenceFloor: number,
): ArmOutcome[] {
  const measured = arms.map(([arm, result]) => outcomeOf(arm, result, trait));
  const scoreOf = (name: string): number | null =>
    measured.find((one) => one.name === name)?.reporting.score ?? null;
  const [base, plain] = [scoreOf('base'), scoreOf('plain')];
  const plainAccuracy = measured.find(({ name }) => name === 'plain')?.capability?.accuracy ?? null;
  const chosen = new Set(
    [...new Set(measured.map(({ treatment }) => treatment))].map(
      (treatment) =>
        choose(
          measured.filter((one) => one.treatment === treatment),
          coherenceFloor,
          plainAccuracy,
        ).name,
    ),
  );
  return measured.map((one) => ({
    ...one,
    chosen: chosen.has(one.name),
    removed: removedShare(one.reporting.score, base, plain),
  }));
}

/** The post-hoc arm that suppresses the trait most nearly as far as the best chosen preventative one, on the choosing half. */
export function equalSuppression(
  all: readonly ArmOutcome[],
): { preventative: ArmOutcome; postHoc: ArmOutcome } | null {
  const scoreOf = (one: ArmOutcome): number => one.choosing.score ?? Infinity;
  const least = (list: readonly ArmOutcome[], value: (one: ArmOutcome) => number): ArmOutcome | undefined =>
    [...list].sort((a, b) => value(a) - value(b))[0];
  const preventative = least(
    all.filter(({ treatment, chosen }) => chosen && treatment.startsWith('preventative steering')),
    scoreOf,
  );
  if (preventative === undefined) return null;
  const postHoc = least(
    all.filter(({ treatment }) => treatment.startsWith('post-hoc')),
    (one) => Math.abs(scoreOf(one) - scoreOf(preventative)),
  );
  return postHoc === undefined ? null : { preventative, postHoc };
}

type Measured = Omit<ArmOutcome, 'chosen' | 'removed'>;

function outcomeOf(arm: PlannedArm, result: ArmResult, trait: string): Measured {
  const own = result.behaviour[trait] ?? [];
  return {
    name: arm.name,
    treatment: arm.treatment,
    strength: arm.strength,
    probe: arm.probe,
    choosing: meanScore(own, 'even'),
    reporting: meanScore(own, 'odd'),
    scores: Object.fromEntries(
      Object.entries(result.behaviour).map(([name, scores]) => [name, meanScore(scores)]),
    ),
    coherence: {
      choosing: meanCoherence(result, 'even'),
      reporting: meanCoherence(result, 'odd'),
      all: meanCoherence(result),
    },
    capability: result.capability,
  };
}

function choose(arms: readonly Measured[], floor: number, plainAccuracy: number | null): Measured {
  const able = ({ capability }: Measured): boolean =>
    plainAccuracy === null || (capability?.accuracy ?? 0) >= plainAccuracy - CAPABILITY_MARGIN;
  const fit = arms.filter((one) => (one.coherence.choosing ?? 0) >= floor && able(one));
  if (fit.length > 0) return fit.reduce((best, one) => (score(one) < score(best) ? one : best));
  const coherence = (one: Measured): number => one.coherence.choosing ?? 0;
  return arms.reduce((best, one) => (coherence(one) > coherence(best) ? one : best));
}

function score(one: Measured): number {
  return one.choosing.score ?? Infinity;
}

function removedShare(score: number | null, base: number | null, plain: number | null): number | null {
  if (score === null || base === null || plain === null || plain <= base) return null;
  return (plain - score) / (plain - base);
}
