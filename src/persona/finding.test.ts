import { describe, expect, it } from 'vitest';
import type { Cell, DoseResponse, Sweep } from '../store/result-schema.ts';
import { describeFinding } from './finding.ts';

const cell = (strength: number, score: number | null, coherence = 95): Cell => ({
  condition: `trait*${strength}`,
  direction: 'trait',
  draw: null,
  layer: 3,
  strength,
  coef: strength,
  norm: strength,
  fraction: null,
  score,
  lower: score,
  upper: score,
  coherence,
  coherence_lower: coherence,
  coherence_upper: coherence,
  rollouts: 200,
  unscored: 0,
});

function dose(changes: Partial<DoseResponse>): DoseResponse {
  return {
    positions: 'response',
    questions: [1],
    samples: 200,
    layer: 3,
    norm: 2,
    unit: 'coef',
    beyond: [],
    chosen: null,
    breaking: { below: null, above: null },
    random_samples: 1,
    strengths: [-2, 0, 2],
    points: [cell(-2, 30), cell(0, 50), cell(2, 71.5)],
    ranked: [-2, 0, 2],
    spearman: 1,
    gain: 41.5,
    random: [],
    random_interval: { lower: -4.25, upper: 5 },
    p_value: 0.05,
    coherence_floor: 75,
    steers: true,
    coherent: true,
    ...changes,
  };
}

const base = { trait: 'kind', model: 'tiny', sweep: null, judge: 'other' };

describe('describeFinding', () => {
  it('says that a vector steers, with the numbers', () => {
    const finding = describeFinding({ ...base, dose: dose({}) });
    expect(finding).toEqual({
      verdict: 'steers',
      label: 'Steers',
      headline:
        'The kind vector steers tiny. At layer 3, going from strength −2 to +2, the mean kind score goes from 30.0 to 71.5: a gain of 41.5 points, where 95 % of random directions of the same norm would gain between −4.3 and 5.0.',
      remarks: [],
    });
  });

  it('tells the gain over strengths at which text stays whole', () => {
    const points = [cell(-2, 0.2), cell(0, 0.1), cell(1, 60), cell(2, 90, 50)];
    const broken = { points, ranked: [0, 1], breaking: { below: null, above: 2 } };
    const { headline, remarks } = describeFinding({ ...base, dose: dose(broken) });
    expect(headline).toMatch(/from strength −2 to \+1, .* from 0\.2 to 60\.0: a gain of 59\.8 points/);
    expect(remarks).toEqual([
      'Mean coherence is below 75 at strength +2.',
      "Unsteered, the score is 0.1: strengths below 0 have nothing to take away, and Spearman's correlation is that of the others.",
    ]);
  });

  it.each([
    ['breaks', { coherent: false }, /but not without breaking its text/],
    ['uneven', { steers: false, spearman: 0.5 }, /moves tiny, but not evenly.*\(Spearman 0\.50\)/],
    [
      'none',
      { steers: false, gain: 4, points: [cell(-2, 50), cell(2, 54)] },
      /does not steer tiny more than chance.*a gain of 4\.0 points/,
    ],
    [
      'opposite',
      { steers: false, gain: -20, points: [cell(-2, 60), cell(2, 40)] },
      /the wrong way.*gain of −20\.0/,
    ],
    ['unmeasured', { gain: null }, /cannot be said: too few of the texts could be scored/],
    ['unmeasured', { random_interval: null }, /cannot be said/],
  ] as [string, Partial<DoseResponse>, RegExp][])(
    'says so where a vector is not plainly good: %s',
    (verdict, changes, headline) => {
      const finding = describeFinding({ ...base, dose: dose(changes) });
      expect(finding.verdict).toBe(verdict);
      expect(finding.headline).toMatch(headline);
    },
  );

  it('says that nothing was measured', () => {
    expect(describeFinding({ ...base, dose: null })).toMatchObject({
      verdict: 'unmeasured',
      headline: 'The kind vector was extracted; whether it steers tiny was not measured.',
    });
  });

  it('adds what one should know besides', () => {
    const sweep = {
      coherence_floor: 75,
      zero: cell(0, 50),
      prompts: { pos: cell(0, 82), neg: cell(0, 12) },
      recommended: { ...cell(2, 70), layer: 3 },
    } as unknown as Sweep;
    const points = [cell(-2, 30, 60), { ...cell(0, 50), unscored: 4 }, cell(2, 70)];
    const finding = describeFinding({
      ...base,
      judge: 'lexical/1:x',
      sweep,
      dose: dose({ points, coherent: false, chosen: cell(2, 64, 90) }),
    });
    expect(finding.remarks).toEqual([
      'Mean coherence is below 75 at strength −2.',
      '4 texts of the dose response could not be scored and are left out of its means.',
      'Chosen: layer 3, strength +2, with a mean score of 70.0 at coherence 95.0; unsteered, 50.0 at 95.0. On the questions that did not choose it: 64.0 at coherence 90.0.',
      'Its own instructions as a system prompt, without steering, reach 82.0: more than the vector.',
      expect.stringMatching(/^The lexical judge counts listed words/),
    ]);
    const none = describeFinding({ ...base, sweep: { ...sweep, recommended: null }, dose: null });
    expect(none.remarks).toEqual([
      'No cell of the sweep kept a mean coherence of 75, so no layer and strength is recommended.',
    ]);
  });
});
