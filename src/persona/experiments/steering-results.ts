import type { ScoredRollout } from '../../store/rollout-schema.ts';
import { chunksOf } from '../../util/chunks.ts';
import { type Measured, measuredOf } from '../condition.ts';
import { spearman } from '../statistics.ts';
import type { Dose, Side } from './steering-plan.ts';

/** A dose and what it did. */
export interface DosePoint extends Measured {
  readonly side: Side;
  readonly direction: Dose['direction'];
  readonly strength: number;
  readonly coef: number;
}

/** What a treatment does to the persona, and what to replies that nobody wanted changed. */
export interface Treatment {
  /** `cap`, `subtract`, or `none`. */
  readonly name: string;
  readonly prompted: Measured;
  readonly ordinary: Measured & Change;
}

/** How far replies are from those that the unsteered model gives with the same random numbers. */
export interface Change {
  /** Share of replies that are the same, token for token. */
  readonly same: number;
  /** Mean share of a reply's tokens before the first that differs. */
  readonly kept: number;
}

/** A turn of one way to hold a conversation. */
export interface TurnPoint extends Measured {
  readonly arm: string;
  /** From 1. */
  readonly turn: number;
}

/** The points of doses, in their order. */
export function dosePoints(
  doses: readonly Dose[],
  rows: readonly ScoredRollout[],
  samples: number,
): DosePoint[] {
  const replies = chunksOf(rows, rows.length / doses.length);
  return doses.map(({ side, direction, strength, condition }, i) => ({
    side,
    direction,
    strength,
    coef: condition.coef,
    ...measuredOf(
      replies[i]!.map(({ scores }) => scores),
      samples,
    ),
  }));
}

/** Spearman's correlation of strength and score on one side, the unsteered model among them; null where scores do not vary. */
export function rankOfSide(points: readonly DosePoint[], side: Side): number | null {
  const own = points.filter((point) => point.side === side && point.direction !== 'random');
  const scored = own.flatMap(({ strength, score }) => (score === null ? [] : [{ strength, score }]));
  return spearman(
    scored.map(({ strength }) => strength),
    scored.map(({ score }) => score),
  );
}

/**
 * The strength at which subtraction would leave the prompted model at a score, by straight lines between the doses: the
 * weakest where there are several. Null where no dose goes so low, or the score is no suppression at all.
 */
export function equalStrength(points: readonly DosePoint[], score: number): number | null {
  const curve = points
    .filter((point) => point.side === 'prompted' && point.direction !== 'random')
    .flatMap((point) => (point.score === null ? [] : [{ size: -point.strength, score: point.score }]))
    .sort((a, b) => a.size - b.size);
  for (let i = 1; i < curve.length; i++) {
    const [above, below] = [curve[i - 1]!, curve[i]!];
    if (above.score < score || below.score > score || above.score === below.score) continue;
    return -(above.size + ((above.score - score) / (above.score - below.score)) * (below.size - above.size));
  }
  return null;
}

/** What became of replies, one by one beside the unsteered ones of the same random numbers. */
export function changeOf(rows: readonly ScoredRollout[], unsteered: readonly ScoredRollout[]): Change {
  const shares = rows.map(({ response_ids: ids }, i) => {
    const other = unsteered[i]!.response_ids;
    const longer = Math.max(ids.length, other.length);
    const differs = Array.from({ length: longer }, (_, t) => t).find((t) => ids[t] !== other[t]);
    return differs === undefined ? 1 : differs / longer;
  });
  const count = Math.max(1, shares.length);
  return {
    same: shares.filter((share) => share === 1).length / count,
    kept: shares.reduce((sum, share) => sum + share, 0) / count,
  };
}

/** The points of one turn, arm by arm. */
export function turnPoints(
  arms: readonly string[],
  rows: readonly ScoredRollout[],
  turn: number,
  samples: number,
): TurnPoint[] {
  const own = chunksOf(rows, rows.length / arms.length);
  return arms.map((arm, i) => ({
    arm,
    turn,
    ...measuredOf(
      own[i]!.map(({ scores }) => scores),
      samples,
    ),
  }));
}
