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

/** Before any turn. */
export const noDrift: DriftState = { up: 0, down: 0, alert: null };

/** Page's CUSUM, one turn on: a turn without a score leaves the sums as they are. */
export function driftStep({ up, down }: DriftState, z: number | null, rule: DriftRule): DriftState {
  const { slack, limit, direction } = rule;
  const sums =
    z === null ? { up, down } : { up: Math.max(0, up + z - slack), down: Math.max(0, down - z - slack) };
  const rises = direction !== 'down' && sums.up > limit;
  const falls = direction !== 'up' && sums.down > limit;
  return { ...sums, alert: rises ? 'up' : falls ? 'down' : null };
}

/** CUSUM over the turns of one conversation: what single turns do not show adds up, and what passes is forgotten. */
export function drift(scores: readonly (number | null)[], rule: DriftRule): DriftState[] {
  let state = noDrift;
  return scores.map((z) => (state = driftStep(state, z, rule)));
}
