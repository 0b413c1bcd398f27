import { describe, expect, it } from 'vitest';
import type { ArmResult } from '../../store/arm-files.ts';
import type { PlannedArm } from './arms.ts';
import { equalSuppression, outcomes } from './outcome.ts';

const arm = (name: string, treatment: string, strength: number | null = null): PlannedArm => ({
  name,
  treatment,
  strength,
  training: null,
  steering: [],
  prompt: 'none',
  probe: false,
});
/** Scores of even questions, which choose, and of odd ones, which report. */
const measured = (even: number, odd: number, coherence: number, accuracy: number): ArmResult => ({
  behaviour: {
    evil: [0, 1, 2, 3].map((question) => ({ question, trait: question % 2 === 0 ? even : odd, coherence })),
  },
  capability: { name: 'x', questions: 100, accuracy, wilson: null, bootstrap: null },
  shifts: {},
});

const arms: [PlannedArm, ArmResult][] = [
  [arm('base', 'untrained'), measured(0, 0, 95, 0.95)],
  [arm('plain', 'plain fine-tuning'), measured(80, 80, 90, 0.9)],
  [arm('p1', 'preventative steering, one layer', 1), measured(40, 30, 90, 0.92)],
  [arm('p2', 'preventative steering, one layer', 2), measured(10, 20, 80, 0.88)],
  // Lower still, and refused: one for its coherence, one for what it cannot do any more.
  [arm('p3', 'preventative steering, one layer', 3), measured(2, 2, 60, 0.9)],
  [arm('p4', 'preventative steering, one layer', 4), measured(1, 1, 90, 0.8)],
  [arm('s1', 'post-hoc steering, one layer', 1), measured(50, 50, 90, 0.9)],
  [arm('s2', 'post-hoc steering, one layer', 2), measured(14, 12, 70, 0.5)],
];

describe('what treatments come to', () => {
  const all = outcomes(arms, 'evil', 75);
  const named = (name: string) => all.find((one) => one.name === name)!;

  it('chooses strengths on one half and reports the other', () => {
    expect(all.filter(({ chosen }) => chosen).map(({ name }) => name)).toEqual(['base', 'plain', 'p2', 's1']);
    expect(named('p2').reporting.score).toBe(20);
    expect(named('p2').removed).toBeCloseTo(0.75, 12);
    expect(named('plain').removed).toBe(0);
    expect(named('base').removed).toBe(1);
  });

  it('holds preventative steering against the post-hoc steering that suppresses as far', () => {
    const equal = equalSuppression(all)!;
    expect([equal.preventative.name, equal.postHoc.name]).toEqual(['p2', 's2']);
    expect(equalSuppression(all.slice(0, 2))).toBeNull();
  });
});
