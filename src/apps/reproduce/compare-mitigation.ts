import * as paper from '../../persona/experiments/paper.ts';
import { fixed } from '../../util/html.ts';
import type { MitigateResult } from '../mitigate/mitigate.ts';
import type { ArmOutcome } from '../mitigate/outcome.ts';
import {
  type Comparison,
  type OurNumber,
  bounded,
  holds,
  inOrder,
  isHighest,
  withinRange,
} from './compare.ts';

const part = 'mitigation';

/** Treatments of one trait after the other. */
export function compareMitigation(results: readonly MitigateResult[]): Comparison[] {
  return results.flatMap(compareTreatments);
}

/** The arms of one trait's mitigation by name. */
interface Arms {
  readonly trait: string;
  readonly base: ArmOutcome;
  readonly plain: ArmOutcome;
  readonly all: readonly ArmOutcome[];
  readonly postHoc: ArmOutcome | undefined;
  readonly preventative: ArmOutcome | undefined;
  readonly preventativeAll: ArmOutcome | undefined;
}

const postHocName = 'post-hoc steering, one layer';

function compareTreatments({ trait, arms: all }: MitigateResult): Comparison[] {
  const named = (name: string): ArmOutcome | undefined => all.find((one) => one.name === name);
  const chosen = (treatment: string): ArmOutcome | undefined =>
    all.find((one) => one.treatment === treatment && one.chosen);
  const [base, plain] = [named('base'), named('plain')];
  if (base === undefined || plain === undefined) return [];
  const arms: Arms = {
    trait,
    base,
    plain,
    all,
    postHoc: chosen(postHocName),
    preventative: chosen('preventative steering, one layer'),
    preventativeAll: chosen('preventative steering, all layers'),
  };
  return [
    ...compareSteered(arms),
    ...compareOneLayer(arms, 'preventative steering at one layer', arms.preventative, 'preventative'),
    ...compareAllLayers(arms),
    ...compareOneLayer(arms, 'CAFT at one layer', named('caft-one'), 'ablated'),
    ...compareCaft(arms, named('caft-all')),
    ...comparePrompt(arms, named('negative_prompt')),
    ...comparePenalty(arms),
    ...compareCapability(arms),
  ];
}

/** Post-hoc steering by its coefficient, and the coherence of both ways of steering. */
function compareSteered({ trait, plain, all, postHoc, preventative }: Arms): Comparison[] {
  const { steeredCoherence } = paper;
  const steps = all.filter(({ treatment }) => treatment === postHocName);
  const coherent = (name: string, arm: ArmOutcome | undefined, least: number): Comparison[] =>
    arm === undefined
      ? []
      : [
          bounded(
            { part, table: steeredCoherence, trait, subject: `coherence under ${name}` },
            { value: arm.coherence.reporting },
            { least },
          ),
        ];
  return [
    ...(steps.length === 0
      ? []
      : [
          inOrder(
            { part, table: paper.postHocFalls, trait, subject: 'score by post-hoc steering' },
            [plain, ...steps].map((arm) => [
              arm.strength === null ? 'plain' : String(-arm.strength),
              arm.scores[trait]!.score,
            ]),
          ),
        ]),
    ...coherent('post-hoc steering', postHoc, steeredCoherence.values.postHoc),
    ...coherent('preventative steering', preventative, steeredCoherence.values.preventative),
  ];
}

/** The share of the rise that is gone, beside a replication's. */
function compareOneLayer(
  arms: Arms,
  name: string,
  arm: ArmOutcome | undefined,
  left: 'preventative' | 'ablated',
): Comparison[] {
  const { trait } = arms;
  const theirs = paper.trainedSteered.values[trait];
  if (theirs === undefined || arm === undefined) return [];
  const before = paper.baseScores.values[trait] ?? 0;
  return [
    withinRange(
      { part, table: paper.trainedSteered, trait, subject: `share of the rise gone by ${name}` },
      removed(arm, arms),
      [(theirs.plain - theirs[left]) / (theirs.plain - before)],
    ),
  ];
}

function compareAllLayers(arms: Arms): Comparison[] {
  const { trait, preventative, preventativeAll } = arms;
  if (preventative === undefined || preventativeAll === undefined) return [];
  return [
    inOrder(
      { part, table: paper.allLayersKeepMore, trait, subject: 'share of the rise gone' },
      [
        ['all layers', removed(preventativeAll, arms).value],
        ['one layer', removed(preventative, arms).value],
      ],
      2,
    ),
  ];
}

function comparePrompt(
  { trait, postHoc, preventative, preventativeAll }: Arms,
  prompted: ArmOutcome | undefined,
): Comparison[] {
  if (prompted === undefined || postHoc === undefined) return [];
  return [
    isHighest({ part, table: paper.promptIsWeaker, trait, subject: 'score that is left' }, [
      ['a prompt against it', prompted.reporting.score],
      ['post-hoc', postHoc.reporting.score],
      ['preventative', lowest([preventative, preventativeAll])],
    ]),
  ];
}

function lowest(arms: readonly (ArmOutcome | undefined)[]): number | null {
  const scores = arms.flatMap((arm) => arm?.reporting.score ?? []);
  return scores.length === 0 ? null : Math.min(...scores);
}

/** Of the rise by plain fine-tuning, the share that a treatment takes away, on the questions that report. */
function removed({ reporting }: ArmOutcome, { base, plain }: Arms): OurNumber {
  const [from, to] = [base.reporting.score, plain.reporting.score];
  if (from === null || to === null || to <= from) return { value: null };
  const share = (score: number): number => (to - score) / (to - from);
  const { score, interval } = reporting;
  return {
    value: score === null ? null : share(score),
    lower: interval === null ? null : share(interval.upper),
    upper: interval === null ? null : share(interval.lower),
  };
}

function compareCaft(arms: Arms, arm: ArmOutcome | undefined): Comparison[] {
  const works = paper.caftWorks.values[arms.trait];
  if (arm === undefined || works === undefined) return [];
  const { value } = removed(arm, arms);
  return [
    holds(
      { part, table: paper.caftWorks, trait: arms.trait, subject: 'CAFT at all layers' },
      {
        ours: value === null ? '–' : `${fixed(100 * value, 0)} % of the rise gone`,
        paper: works ? 'works' : 'does not work',
        rule: 'it works where half of the rise or more is gone',
        is: value === null ? null : value >= 0.5 === works,
      },
    ),
  ];
}

function comparePenalty({ trait, all, base }: Arms): Comparison[] {
  const arm = all.find(({ treatment, chosen }) => chosen && treatment.startsWith('projection penalty'));
  if (arm === undefined) return [];
  const [left, before] = [arm.reporting, base.reporting];
  const apart =
    left.score === null || before.score === null
      ? null
      : (left.interval?.lower ?? left.score) > (before.interval?.upper ?? before.score);
  return [
    holds(
      { part, table: paper.penaltyLeavesTrait, trait, subject: 'score under a projection penalty' },
      {
        ours: `${fixed(left.score)}, untrained ${fixed(before.score)}`,
        paper: 'the trait still appears',
        rule: 'its interval lies above that of the untrained model',
        is: apart,
      },
    ),
  ];
}

function compareCapability({ trait, plain, preventativeAll }: Arms): Comparison[] {
  const [ours, before] = [preventativeAll?.capability?.accuracy ?? null, plain.capability?.accuracy ?? null];
  if (ours === null || before === null) return [];
  return [
    holds(
      {
        part,
        table: paper.capabilityStays,
        trait,
        subject: 'capability under preventative steering',
      },
      {
        ours: `${fixed(100 * ours)} %, plain ${fixed(100 * before)} %`,
        paper: 'as under plain fine-tuning',
        rule: 'within 3 points of plain fine-tuning',
        is: ours >= before - 0.03,
      },
    ),
  ];
}
