import { describe, expect, it } from 'vitest';
import type { MonitoringExperiment } from '../../persona/experiments/monitoring.ts';
import type { FinetuningResult, GridModel } from '../../persona/experiments/finetuning.ts';
import type { ArmOutcome } from '../mitigate/outcome.ts';
import type { ScreeningExperimentResult } from '../screen/experiment.ts';
import type { DoseResponse } from '../../store/result-schema.ts';
import type { Comparison } from './compare.ts';
import { compareMitigation } from './compare-mitigation.ts';
import { compareFinetuning } from './compare-models.ts';
import { compareScreening } from './compare-screening.ts';
import { compareExtraction, compareMonitoring, comparePoolings, halfMaximumOf } from './compare-vectors.ts';
import type { ExtractedTrait } from './run-vectors.ts';

const score = (value: number | null, half = 2) => ({
  score: value,
  interval: value === null ? null : { lower: value - half, upper: value + half },
  coherence: 90,
  replies: 20,
  unscored: 0,
});

function verdictOf(comparisons: readonly Comparison[], subject: string): string {
  const nameOf = ({ trait, subject: what }: Comparison): string =>
    trait === null ? what : `${trait}: ${what}`;
  const found = comparisons.filter((one) => nameOf(one) === subject);
  expect(found.map(nameOf)).toEqual([subject]);
  return found[0]!.verdict;
}

const point = (strength: number, value: number) => ({
  strength,
  coef: strength,
  score: value,
  coherence: 80,
});
const dose = {
  unit: 'coef',
  spearman: 1,
  points: [point(-1, 5), point(0, 0), point(1, 20), point(2, 80), point(3, 60)],
  chosen: point(2, 80),
} as unknown as DoseResponse;

describe('the extraction beside the paper', () => {
  it('finds where the score crosses half of its highest, between strengths above 0', () => {
    // From 20 at 1 to 80 at 2: 40 is a third of the way.
    expect(halfMaximumOf(dose)).toBeCloseTo(4 / 3, 12);
    const flat = { ...dose, points: [point(0, 50), point(1, 50)] } as unknown as DoseResponse;
    expect(halfMaximumOf(flat)).toBeNull();
  });

  it('compares depth, rise, reach, coherence and the pattern of cosines', () => {
    const trait = {
      trait: 'evil',
      sweep: { recommended: {}, layer: 4 },
      dose,
    } as unknown as ExtractedTrait;
    const names = ['evil', 'sycophantic', 'impolite', 'optimistic'];
    const values = [
      [1, 0.4, 0.5, -0.5],
      [0.4, 1, 0.3, 0.1],
      [0.5, 0.3, 1, -0.4],
      [-0.5, 0.1, -0.4, 1],
    ];
    const found = compareExtraction({ traits: [trait], cosines: { layer: 3, names, values } }, 6);
    expect(verdictOf(found, 'evil: best layer as a share of the depth')).toBe('agrees');
    expect(verdictOf(found, 'evil: the score rises with the coefficient')).toBe('agrees');
    expect(verdictOf(found, 'evil: the highest score by steering')).toBe('agrees');
    expect(verdictOf(found, 'evil: coherence at the chosen strength')).toBe('agrees');
    expect(verdictOf(found, 'evil: coefficient of half the highest score')).toBe('agrees');
    expect(verdictOf(found, 'which vectors lie near each other (6 pairs)')).toBe('agrees');
    const shallow = compareExtraction({ traits: [trait], cosines: null }, 40);
    expect(verdictOf(shallow, 'evil: best layer as a share of the depth')).toBe('differs');
    const turned = values.map((row) => row.map((value) => -value));
    const against = compareExtraction({ traits: [], cosines: { layer: 3, names, values: turned } }, 6);
    expect(against.map(({ verdict }) => verdict)).toEqual(['differs']);
  });
});

it('compares the strongest pooling', () => {
  const points = [
    { pooling: 'response_mean', length: 1, score: 20 },
    { pooling: 'response_mean', length: 2, score: 60 },
    { pooling: 'prompt_mean', length: 2, score: 50 },
    { pooling: 'prompt_last', length: 1, score: 59 },
    { pooling: 'boundary_mean', length: 1, score: 90 },
  ];
  const [only] = comparePoolings([{ trait: 'evil', points } as never]);
  expect(only).toMatchObject({ verdict: 'agrees', paper: 'response_mean highest' });
});

it('compares the correlations of monitoring with Table 2', () => {
  const r = (value: number) => ({ r: value, lower: value - 0.05, upper: value + 0.05 });
  const methods = [
    { method: 'system', overall: r(0.78), within: r(-0.1) },
    { method: 'shots', overall: r(0.5), within: r(0.7) },
  ];
  const found = compareMonitoring([{ trait: 'evil', methods } as unknown as MonitoringExperiment]);
  expect(verdictOf(found, 'evil: graded prompts: sign of r')).toBe('agrees');
  expect(verdictOf(found, 'evil: graded prompts: r')).toBe('agrees');
  expect(verdictOf(found, 'evil: graded prompts: r within conditions')).toBe('differs');
  expect(verdictOf(found, 'evil: exemplars: r')).toBe('differs');
  expect(verdictOf(found, 'evil: exemplars: r within conditions')).toBe('agrees');
  expect(verdictOf(found, 'evil: exemplars: r over all against r within conditions')).toBe('differs');
});

const model = (family: string, variant: string, evil: number, sycophantic = 5): GridModel =>
  ({
    name: variant === 'base' ? 'base' : `${family}-${variant}`,
    family,
    variant,
    scores: { evil: score(evil), sycophantic: score(sycophantic) },
  }) as unknown as GridModel;

it('compares the grid: base, severity, what spreads, and shifts', () => {
  const models = [
    model('base', 'base', 1),
    model('evil', 'normal', 0),
    model('evil', 'misaligned_1', 30),
    model('evil', 'misaligned_2', 80),
    model('mistake', 'misaligned_2', 20),
  ];
  const interval = { lower: 0.7, upper: 0.95 };
  const correlations = [
    { shift: 'evil', behaviour: 'evil', r: 0.88, interval },
    { shift: 'sycophantic', behaviour: 'sycophantic', r: -0.1, interval: { lower: -0.5, upper: 0.3 } },
    { shift: 'evil', behaviour: 'sycophantic', r: 0.4, interval },
    { shift: 'sycophantic', behaviour: 'evil', r: 0.2, interval },
  ];
  const result = { models, traits: ['evil', 'sycophantic'], correlations } as unknown as FinetuningResult;
  const found = compareFinetuning(result);
  expect(verdictOf(found, 'evil: score of the untrained model')).toBe('agrees');
  expect(verdictOf(found, 'evil: score after training on its data sets')).toBe('agrees');
  const spread = found.find(({ subject }) => subject === 'data with mistakes raise other traits')!;
  expect(spread).toMatchObject({ verdict: 'agrees', ours: 'evil by 19 after mistake-misaligned_2' });
  expect(verdictOf(found, 'evil: sign of r of shift and score')).toBe('agrees');
  expect(verdictOf(found, 'evil: r of shift and score over 4 models')).toBe('agrees');
  expect(verdictOf(found, 'sycophantic: sign of r of shift and score')).toBe('differs');
  expect(verdictOf(found, 'signs of r across traits')).toBe('agrees');
});

it('compares treatments by the share of the rise that is gone', () => {
  const arm = (name: string, treatment: string, strength: number | null, value: number): ArmOutcome => ({
    name,
    treatment,
    strength,
    probe: false,
    choosing: score(value),
    reporting: score(value),
    scores: { evil: score(value) },
    coherence: { choosing: 90, reporting: 90, all: 90 },
    capability: null,
    removed: null,
    chosen: true,
  });
  const postHoc = 'post-hoc steering, one layer';
  const arms = [
    arm('base', 'untrained', null, 0),
    arm('plain', 'plain fine-tuning', null, 80),
    { ...arm('a', postHoc, 0.5, 60), chosen: false },
    arm('b', postHoc, 1, 30),
    arm('c', 'preventative steering, one layer', 1.5, 24),
    arm('d', 'preventative steering, all layers', 1.5, 8),
    arm('caft-one', 'CAFT, one layer', null, 78),
    arm('caft-all', 'CAFT, all layers', null, 10),
    arm('e', 'projection penalty, one layer', 0.1, 50),
    arm('negative_prompt', 'prompt against the trait', null, 40),
  ];
  const result = { trait: 'evil', model: 'm', layer: 3, coherenceFloor: 75, arms, report: '' };
  const found = compareMitigation([result]);
  expect(found.filter(({ verdict }) => verdict !== 'agrees').map(({ subject }) => subject)).toEqual([]);
  expect(found).toHaveLength(9);
  // At one layer 70 % are gone, where the replication has 70.6.
  const share = found.find(({ subject }) => subject.endsWith('preventative steering at one layer'))!;
  expect(share).toMatchObject({ ours: '0.70 [0.68, 0.72]', paper: '0.71' });
});

it('compares what screening foretold', () => {
  const r = (value: number) => ({
    r: value,
    interval: { lower: value - 0.02, upper: value + 0.02 },
    others: 0,
  });
  const estimates = [
    { mode: 'full', ...r(0.9) },
    { mode: 'prompt-last', ...r(0.5) },
    { mode: 'raw', ...r(0.95) },
  ];
  const traits = [
    {
      name: 'evil',
      estimates,
      shift: r(0.9),
      separations: [{ family: 'evil', auroc: 0.97, severe: 9, normal: 9 }],
      subsets: { high: score(50), random: score(10), low: score(0) },
    },
  ];
  const found = compareScreening({ traits } as unknown as ScreeningExperimentResult);
  expect(verdictOf(found, 'evil: r of difference and score')).toBe('agrees');
  expect(verdictOf(found, 'evil: r by the last prompt token')).toBe('differs');
  expect(verdictOf(found, 'evil: r by difference against by projection')).toBe('differs');
  expect(verdictOf(found, 'evil: r of difference and shift')).toBe('agrees');
  expect(verdictOf(found, 'evil: score after training on what lies')).toBe('agrees');
});
