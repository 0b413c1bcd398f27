import type { Cell, DoseResponse, Sweep } from '../store/result-schema.ts';
import { fixed, signed } from '../util/html.ts';

/** Whether a vector steers, in words. */
export interface Finding {
  readonly verdict: 'steers' | 'breaks' | 'uneven' | 'opposite' | 'none' | 'unmeasured';
  /** Two or three words. */
  readonly label: string;
  /** One sentence. */
  readonly headline: string;
  /** What one should know besides, a sentence each. */
  readonly remarks: readonly string[];
}

export interface FindingInput {
  readonly trait: string;
  readonly model: string;
  readonly sweep: Sweep | null;
  readonly dose: DoseResponse | null;
  readonly judge: string;
}

/** What the measurements say, as they came out: a vector that does not steer is said not to. */
export function describeFinding(input: FindingInput): Finding {
  const remarks = [...doseRemarks(input), ...sweepRemarks(input), ...judgeRemarks(input)];
  const { dose } = input;
  if (dose === null) {
    const headline = `The ${input.trait} vector was extracted; whether it steers ${input.model} was not measured.`;
    return { verdict: 'unmeasured', label: 'Not measured', headline, remarks };
  }
  if (dose.gain === null || dose.random_interval === null) {
    const headline = `Whether the ${input.trait} vector steers ${input.model} cannot be said: too few of the texts could be scored.`;
    return { verdict: 'unmeasured', label: 'Not measured', headline, remarks };
  }
  const verdict = verdictOf(dose, dose.gain, dose.random_interval);
  return { verdict, label: labels[verdict], headline: headlineOf(input, dose, verdict), remarks };
}

const labels = {
  steers: 'Steers',
  breaks: 'Steers, breaks text',
  uneven: 'Uneven effect',
  opposite: 'Opposite effect',
  none: 'Does not steer',
} as const;
type Measured = keyof typeof labels;

function verdictOf(dose: DoseResponse, gain: number, interval: { lower: number; upper: number }): Measured {
  if (dose.steers) return dose.coherent ? 'steers' : 'breaks';
  if (gain > interval.upper) return 'uneven';
  return gain < interval.lower ? 'opposite' : 'none';
}

function headlineOf(input: FindingInput, dose: DoseResponse, verdict: Measured): string {
  const [low, high] = verdict === 'steers' ? coherentEnds(dose) : [dose.points[0]!, dose.points.at(-1)!];
  const where = `At layer ${dose.layer}, going from strength ${signed(low.strength)} to ${signed(high.strength)}`;
  const change = `the mean ${input.trait} score goes from ${fixed(low.score)} to ${fixed(high.score)}`;
  const interval = dose.random_interval!;
  const random = `95 % of random directions of the same norm would gain between ${fixed(interval.lower)} and ${fixed(interval.upper)}`;
  const gain = `a gain of ${fixed((high.score ?? 0) - (low.score ?? 0))} points`;
  switch (verdict) {
    case 'steers':
      return `The ${input.trait} vector steers ${input.model}. ${where}, ${change}: ${gain}, where ${random}.`;
    case 'breaks':
      return `The ${input.trait} vector steers ${input.model}, but not without breaking its text. ${where}, ${change}: ${gain}, where ${random}.`;
    case 'uneven':
      return `The ${input.trait} vector moves ${input.model}, but not evenly. ${where}, ${change}: ${gain}, where ${random}; between the ends the score does not rise with the strength (Spearman ${fixed(dose.spearman, 2)}).`;
    case 'opposite':
      return `The ${input.trait} vector moves ${input.model} the wrong way. ${where}, ${change}: ${gain}, where ${random}.`;
    case 'none':
      return `The ${input.trait} vector does not steer ${input.model} more than chance. ${where}, ${change}: ${gain}, and ${random}.`;
    default:
      return verdict satisfies never;
  }
}

/** The lowest and the highest strength between which text stays whole. */
function coherentEnds({ points, breaking }: DoseResponse): [Cell, Cell] {
  const whole = points.filter(
    ({ strength }) => strength > (breaking.below ?? -Infinity) && strength < (breaking.above ?? Infinity),
  );
  return [whole[0]!, whole.at(-1)!];
}

function doseRemarks({ dose }: FindingInput): string[] {
  if (dose === null) return [];
  const broken = dose.points.filter(({ coherence }) => (coherence ?? 0) < dose.coherence_floor);
  const unscored = dose.points.reduce((sum, point) => sum + point.unscored, 0);
  const remarks: string[] = [];
  if (broken.length > 0) {
    const strengths = broken.map(({ strength }) => signed(strength)).join(', ');
    remarks.push(`Mean coherence is below ${dose.coherence_floor} at strength ${strengths}.`);
  }
  const zero = dose.points.find(({ strength }) => strength === 0);
  const sides = dose.points.filter(({ strength }) => strength < 0 && !dose.ranked.includes(strength));
  if (zero !== undefined && sides.some(({ coherence }) => (coherence ?? 0) >= dose.coherence_floor)) {
    remarks.push(
      `Unsteered, the score is ${fixed(zero.score)}: strengths below 0 have nothing to take away, and Spearman's correlation is that of the others.`,
    );
  }
  if (unscored > 0)
    remarks.push(`${unscored} texts of the dose response could not be scored and are left out of its means.`);
  return remarks;
}

function sweepRemarks({ sweep, dose }: FindingInput): string[] {
  if (sweep === null) return [];
  if (sweep.recommended === null) {
    return [
      `No cell of the sweep kept a mean coherence of ${sweep.coherence_floor}, so no layer and strength is recommended.`,
    ];
  }
  const { layer, strength, score, coherence } = sweep.recommended;
  const chosen = dose?.chosen ?? null;
  const apart =
    chosen === null
      ? ''
      : ` On the questions that did not choose it: ${fixed(chosen.score)} at coherence ${fixed(chosen.coherence)}.`;
  return [
    `Chosen: layer ${layer}, strength ${signed(strength)}, with a mean score of ${fixed(score)} at coherence ${fixed(coherence)}; unsteered, ${fixed(sweep.zero.score)} at ${fixed(sweep.zero.coherence)}.${apart}`,
    ...promptRemarks(sweep.prompts.pos.score, score),
  ];
}

/** Prompting is the plain alternative to steering. */
function promptRemarks(prompted: number | null, steered: number | null): string[] {
  if (prompted === null || steered === null) return [];
  const than = prompted > steered ? 'more than' : 'no more than';
  return [
    `Its own instructions as a system prompt, without steering, reach ${fixed(prompted)}: ${than} the vector.`,
  ];
}

function judgeRemarks({ judge }: FindingInput): string[] {
  if (!judge.startsWith('lexical')) return [];
  return [
    'The lexical judge counts listed words: it sees neither negation nor meaning, and its coherence only falls when a text repeats itself.',
  ];
}
