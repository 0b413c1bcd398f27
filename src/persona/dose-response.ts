import type { Positions } from '../engine/types.ts';
import type { Cell, DoseResponse } from '../store/result-schema.ts';
import type { Scores } from '../store/rollout-schema.ts';
import {
  type Condition,
  type NumberedQuestion,
  planConditions,
  randomDirection,
  summarise,
  untouched,
} from './condition.ts';
import type { PlannedRollout } from './rollouts.ts';
import { predictionInterval, spearman } from './statistics.ts';
import { type StrengthUnit, coefficientOf } from './strength.ts';
import type { PersonaVector } from './vector.ts';

export interface DoseSettings {
  readonly layer: number;
  readonly unit: StrengthUnit;
  /** Different from each other, 0 among them or not; fixed before any of them is run. */
  readonly strengths: readonly number[];
  /** The strength that the sweep chose for this layer, run too where it is not among `strengths`; null for none. */
  readonly chosen: number | null;
  /** Rollouts of a question at every strength. */
  readonly samples: number;
  /** Random directions, each run at the lowest and the highest strength. */
  readonly randomDirections: number;
  /** Rollouts of a question at each end of a random direction; fewer make its interval wider, never narrower. */
  readonly randomSamples: number;
  readonly positions: Positions;
  /** Mean coherence that every point must reach to count as coherent. */
  readonly coherenceFloor: number;
  readonly seed: number;
}

export interface DosePlan {
  readonly conditions: readonly Condition[];
  readonly rollouts: readonly PlannedRollout[];
  /** The numbers of the finished rollouts; `scores` in the order of `rollouts`. */
  readonly summarise: (scores: readonly Scores[]) => DoseResponse;
}

/** Spearman's correlation of strength and mean score from which a vector is said to steer. */
export const STEERING_SPEARMAN = 0.9;

/** An unsteered score this near to an end of the scale has no room on that side: what is seen there is noise. */
const LEAST_ROOM = 5;

/** Conditions that are run equally often. */
interface Group {
  readonly conditions: readonly Condition[];
  readonly samples: number;
}

/**
 * The dose response at one layer: does the mean score rise with the strength, and by more than a random direction of
 * the same norm moves it?
 */
export function planDoseResponse(
  vector: PersonaVector,
  questions: readonly NumberedQuestion[],
  settings: DoseSettings,
): DosePlan {
  const groups: readonly Group[] = [
    { conditions: steeredBy(vector, settings, settings.strengths), samples: settings.samples },
    { conditions: steeredBy(vector, settings, beyondEnds(settings)), samples: 1 },
    { conditions: randomPairs(vector, settings), samples: settings.randomSamples },
    { conditions: steeredBy(vector, settings, chosenBeside(settings)), samples: settings.samples },
  ];
  const { positions } = settings;
  return {
    conditions: groups.flatMap(({ conditions }) => conditions),
    rollouts: groups.flatMap(({ conditions, samples }) =>
      planConditions(conditions, { step: 'dose-response', questions, samples, positions }),
    ),
    summarise: (scores) => summariseDose(groups, vector, questions, settings, scores),
  };
}

function endsOf({ strengths }: DoseSettings): readonly [number, number] {
  return [Math.min(...strengths), Math.max(...strengths)];
}

/** Far out, where that is another strength. */
function beyondEnds(settings: DoseSettings): number[] {
  const far = endsOf(settings).map((end) => 2 * end);
  return far.filter((strength) => strength !== 0 && !settings.strengths.includes(strength));
}

/** The sweep's choice, where it is none of the strengths. */
function chosenBeside({ chosen, strengths }: DoseSettings): number[] {
  return chosen === null || strengths.includes(chosen) ? [] : [chosen];
}

function steeredBy(
  vector: PersonaVector,
  { layer, unit }: DoseSettings,
  strengths: readonly number[],
): Condition[] {
  return strengths.map((strength): Condition => {
    const id = `trait*${strength}`;
    if (strength === 0) return { ...untouched, id };
    const coef = coefficientOf(vector, layer, strength, unit);
    return {
      id,
      direction: 'trait',
      draw: null,
      layer,
      strength,
      coef,
      vector: vector.direction(layer),
      systems: [],
    };
  });
}

/** Every random direction at the lowest and at the highest strength, side by side. */
function randomPairs(vector: PersonaVector, settings: DoseSettings): Condition[] {
  const { layer, seed } = settings;
  const ends = steeredBy(vector, settings, endsOf(settings));
  return Array.from({ length: settings.randomDirections }, (_, draw) => {
    const direction = randomDirection(vector.width, vector.norm(layer), seed, 'dose-response', layer, draw);
    return ends.map((end): Condition => {
      const id = `random${draw}*${end.strength}`;
      return { ...end, id, direction: 'random', draw, vector: direction };
    });
  }).flat();
}

function summariseDose(
  groups: readonly Group[],
  vector: PersonaVector,
  questions: readonly NumberedQuestion[],
  settings: DoseSettings,
  scores: readonly Scores[],
): DoseResponse {
  const cells = summariseGroups(groups, questions.length, scores, vector);
  const [points, beyond, ends, beside] = cells as [Cell[], Cell[], Cell[], Cell[]];
  const { coherenceFloor } = settings;
  const random = pairUp(ends);
  const [lowest, highest] = endsOf(settings).map((end) => points.find(({ strength }) => strength === end)!);
  const gain = gainOf(lowest!, highest!);
  const gains = random.flatMap((pair) => (pair.gain === null ? [] : [pair.gain]));
  const interval = predictionInterval(gains);
  const breaking = breakingStrengths(points, coherenceFloor);
  const whole = points.filter(({ strength }) => isWithin(strength, breaking));
  const ranked = whole.filter(hasRoom(points.find(({ strength }) => strength === 0)?.score ?? null));
  const rank = rankOf(ranked);
  return {
    positions: settings.positions,
    questions: questions.map(({ index }) => index),
    samples: settings.samples,
    layer: settings.layer,
    norm: vector.norm(settings.layer),
    unit: settings.unit,
    strengths: [...settings.strengths],
    points,
    beyond,
    chosen: [...points, ...beside].find(({ strength }) => strength === settings.chosen) ?? null,
    breaking,
    ranked: ranked.map(({ strength }) => strength),
    spearman: rank,
    gain,
    random_samples: settings.randomSamples,
    random,
    random_interval: interval,
    p_value: gain === null || gains.length === 0 ? null : shareAsLarge(gain, gains),
    coherence_floor: coherenceFloor,
    steers:
      rank !== null && rank >= STEERING_SPEARMAN && gain !== null && gain > (interval?.upper ?? Infinity),
    coherent: interval !== null && (gainOver(whole) ?? -Infinity) > interval.upper,
  };
}

/** The scores follow the groups, in each of them the conditions, and in each of those the rollouts. */
function summariseGroups(
  groups: readonly Group[],
  questions: number,
  scores: readonly Scores[],
  vector: PersonaVector,
): Cell[][] {
  let start = 0;
  return groups.map(({ conditions, samples }) =>
    conditions.map((condition) => {
      const end = start + questions * samples;
      const cell = summarise(condition, scores.slice(start, end), samples, vector);
      start = end;
      return cell;
    }),
  );
}

function pairUp(cells: readonly Cell[]): DoseResponse['random'] {
  return Array.from({ length: cells.length / 2 }, (_, draw) => {
    const [low, high] = [cells[2 * draw]!, cells[2 * draw + 1]!];
    return { draw, low, high, gain: gainOf(low, high) };
  });
}

function gainOf(low: Cell, high: Cell): number | null {
  return low.score === null || high.score === null ? null : high.score - low.score;
}

/** Where text breaks: the nearest strengths on either side of 0 with less coherence than asked for. */
function breakingStrengths(points: readonly Cell[], floor: number): DoseResponse['breaking'] {
  const broken = points.flatMap(({ strength, coherence }) => ((coherence ?? 0) < floor ? [strength] : []));
  const nearest = (strengths: readonly number[]): number | null =>
    strengths.length === 0 ? null : strengths.reduce((a, b) => (Math.abs(b) < Math.abs(a) ? b : a));
  return { below: nearest(broken.filter((s) => s <= 0)), above: nearest(broken.filter((s) => s >= 0)) };
}

/** Whether a strength can be seen to do something, from where the unsteered model stands. */
function hasRoom(unsteered: number | null): (cell: Cell) => boolean {
  return ({ strength }) => {
    if (unsteered === null || strength === 0) return true;
    return strength < 0 ? unsteered > LEAST_ROOM : unsteered < 100 - LEAST_ROOM;
  };
}

/** From the lowest to the highest strength of some points. */
function gainOver(points: readonly Cell[]): number | null {
  const byStrength = points.toSorted((a, b) => a.strength - b.strength);
  const [low, high] = [byStrength[0], byStrength.at(-1)];
  return low === undefined || high === undefined ? null : gainOf(low, high);
}

function isWithin(strength: number, { below, above }: DoseResponse['breaking']): boolean {
  return strength > (below ?? -Infinity) && strength < (above ?? Infinity);
}

function rankOf(points: readonly Cell[]): number | null {
  const scored = points.flatMap(({ strength, score }) => (score === null ? [] : [{ strength, score }]));
  return spearman(
    scored.map(({ strength }) => strength),
    scored.map(({ score }) => score),
  );
}

/** The rank test's value: the direction itself counts, so it is never 0. */
function shareAsLarge(gain: number, gains: readonly number[]): number {
  return (1 + gains.filter((other) => Math.abs(other) >= Math.abs(gain)).length) / (gains.length + 1);
}
