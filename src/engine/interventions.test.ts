import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tinyConfig } from '../../test/helpers/tiny-config.ts';
import { UsageError } from '../errors.ts';
import { type Edit, planInterventions } from './interventions.ts';
import type { Intervention } from './types.ts';

const config = tinyConfig({ width: 4, layers: 3 });
const x = [1, 0, 0, 0];
const y = [0, 2, 0, 0];
const xy = [1, 1, 0, 0];

function stagesOf(interventions: readonly Intervention[], layer = 1): readonly (readonly Edit[])[] {
  return planInterventions(interventions, config, true).layers.get(layer) ?? [];
}

describe('planInterventions', () => {
  it('keeps the raw vector of an addition and the unit vector of a clamp', () => {
    const [stage] = stagesOf([
      { layer: 1, vector: y, coef: 3 },
      { layer: 1, vector: [0, 0, 5, 0], max: 2 },
    ]);
    expect(stage).toEqual([
      {
        direction: Float32Array.from(y),
        add: 3,
        min: -Infinity,
        max: Infinity,
        keepNorm: false,
        gate: null,
        positions: 'all',
      },
      {
        direction: Float32Array.of(0, 0, 1, 0),
        add: 0,
        min: -Infinity,
        max: 2,
        keepNorm: false,
        gate: null,
        positions: 'all',
      },
    ]);
  });

  it('lets additions and orthogonal edits act side by side', () => {
    expect(stagesOf([1, 2, 3].map((coef) => ({ layer: 1, vector: xy, coef })))).toHaveLength(1);
    expect(
      stagesOf([
        { layer: 1, vector: x, max: 0 },
        { layer: 1, vector: y, min: 1 },
        { layer: 1, vector: [0, 0, 0, 1], coef: 1 },
      ]),
    ).toHaveLength(1);
  });

  it('puts overlapping edits one after the other, in the listed order', () => {
    const stages = stagesOf([
      { layer: 1, vector: x, coef: 1 },
      { layer: 1, vector: xy, max: 0 },
      { layer: 1, vector: [0, 0, 1, 0], coef: 2 },
      { layer: 1, vector: x, max: 5 },
    ]);
    expect(stages.map((stage) => stage.map((edit) => edit.max))).toEqual([[Infinity, Infinity], [0], [5]]);
  });

  it('orthonormalises consecutive ablations and reports the dependent one', () => {
    const plan = planInterventions(
      [
        { layer: 2, vector: x, ablate: true },
        { layer: 2, vector: xy, ablate: true },
        { layer: 2, vector: [3, -1, 0, 0], ablate: true },
      ],
      config,
      true,
    );
    const [stage] = plan.layers.get(2) ?? [];
    expect(stage?.map((edit) => [...edit.direction])).toEqual([x, [0, 1, 0, 0]]);
    expect(plan.notes).toEqual([expect.stringContaining('intervention 3 (ablate, layer 2) is dropped')]);
  });

  it('yields an orthonormal basis for any vectors', () => {
    const vector = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 });
    const usable = vector.filter((v) => Math.hypot(...v) > 1e-3);
    fc.assert(
      fc.property(fc.array(usable, { minLength: 1, maxLength: 6 }), (vectors) => {
        const stages = stagesOf(vectors.map((v) => ({ layer: 1, vector: v, ablate: true as const })));
        expect(stages).toHaveLength(1);
        const basis = (stages[0] as readonly Edit[]).map((edit) => edit.direction);
        basis.forEach((a, i) => {
          basis.forEach((b, j) => {
            const dot = a.reduce((sum, value, k) => sum + value * (b[k] as number), 0);
            expect(dot).toBeCloseTo(i === j ? 1 : 0, 5);
          });
        });
      }),
    );
  });

  it.each<[string, Intervention, RegExp]>([
    ['layer 0', { layer: 0, vector: x, coef: 1 }, /layer from 1 to 3 .* got 0/],
    ['a layer beyond the last', { layer: 4, vector: x, coef: 1 }, /got 4/],
    ['half a layer', { layer: 1.5, vector: x, coef: 1 }, /got 1\.5/],
    ['a wrong width', { layer: 1, vector: [1, 2], coef: 1 }, /width 4, got 2 numbers/],
    ['a vector with NaN', { layer: 1, vector: [1, Number.NaN, 0, 0], coef: 1 }, /finite numbers .* index 1/],
    ['an infinite coefficient', { layer: 1, vector: x, coef: Infinity }, /finite "coef"/],
    [
      'a coefficient beyond floats',
      { layer: 1, vector: x, coef: -1e18 },
      /a "coef" of at most 1e\+17, got -1\.00e\+18/,
    ],
    [
      'a vector beyond floats',
      { layer: 1, vector: [0, 1e200, 0, 0], ablate: true },
      /a vector of a length of at most 1e\+17, got Infinity/,
    ],
    [
      'a product beyond floats',
      { layer: 1, vector: [1e9, 0, 0, 0], coef: 1e9 },
      /times the vector of a length of at most 1e\+17, got 1\.00e\+18/,
    ],
    [
      'a bound beyond floats',
      { layer: 1, vector: x, min: 1e30 },
      /a bound of at most 1e\+17, got 1\.00e\+30/,
    ],
    ['no strength', { layer: 1, vector: x }, /exactly one of .* got none/],
    ['two strengths', { layer: 1, vector: x, coef: 1, max: 2 }, /got several/],
    ['a zero direction', { layer: 1, vector: [0, 0, 0, 0], ablate: true }, /not all zeros/],
    ['min above max', { layer: 1, vector: x, min: 2, max: 1 }, /min ≤ max/],
  ])('refuses %s', (_, entry, message) => {
    expect(() => planInterventions([entry], config, true)).toThrow(UsageError);
    expect(() => planInterventions([entry], config, true)).toThrow(message);
  });

  it('refuses boundary positions without a tokenizer', () => {
    const entry: Intervention = { layer: 1, vector: x, coef: 1, positions: 'boundary' };
    expect(() => planInterventions([entry], config, false)).toThrow(/needs a tokenizer/);
  });
});
