/** Parameters of the drift detector, in standard deviations of the baseline. */
export interface DriftRule {
  /** What of each turn is subtracted before it is added up: half the shift that is to be found soonest. */
  readonly slack: number;
  /** The sum from which on a drift is reported. */
  readonly limit: number;
  /** Which way is a drift. */
  readonly direction: 'up' | 'down' | 'both';
}

/** Finds a lasting shift of one standard deviation in about ten turns; by chance alone, about once in 465. */
export const defaultDriftRule: DriftRule = { slack: 0.5, limit: 5, direction: 'up' };

/** The sums after a turn. */
export interface DriftState {
  /** max(0, up + z − slack). */
  readonly up: number;
  /** max(0, down − z − slack). */
  readonly down: number;
  /** Which limit is crossed, if one of those watched is. */
  readonly alert: 'up' | 'down' | null;
}

/**
 * Page's CUSUM over the turns of one conversation: what single turns do not show adds up, and what passes is forgotten. A
 * turn without a score leaves the sums as they are.
 */
export function drift(scores: readonly (number | null)[], rule: DriftRule): DriftState[] {
  const { slack, limit, direction } = rule;
  let [up, down] = [0, 0];
  return scores.map((z) => {
    if (z !== null) {
      up = Math.max(0, up + z - slack);
      down = Math.max(0, down - z - slack);
    }
    const rises = direction !== 'down' && up > limit;
    const falls = direction !== 'up' && down > limit;
    return { up, down, alert: rises ? 'up' : falls ? 'down' : null };
  });
}
