import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TrainStep } from '../store/train-schema.ts';
import { type TrainReportData, renderTrainReport } from './report.ts';

function data(name: string, count = 12): TrainReportData {
  const steps = Array.from(
    { length: count },
    (_, i): TrainStep => ({
      step: i + 1,
      epoch: 0,
      loss: 5 / (i + 1),
      lr: 1e-4,
      grad_norm: 1 + i,
      tokens: 100,
      seconds: 0.5,
      penalties: { kl: 0.1 * i },
      ...(i % 4 === 0 ? { projections: { [name]: i - 3 }, test_loss: 4 / (i + 1) } : {}),
    }),
  );
  return {
    manifest: {
      schema: 1,
      kind: 'train',
      package: { name: 'persona-vectors', version: '0' },
      model: { id: name, revision: null, fingerprint: 'f', dtype: 'fp32', layers: 2, width: 4 },
      config: { is_peft: true, model: name, watch_pooling: 'prompt_last' },
      recipe: {},
      counts: { rows: 3, steps: count, epochs: 1, tokens: 100 * count, rows_truncated: 1 },
      final: { projections: { [name]: 9 }, test_loss: 0.3 },
      seconds: count / 2,
    },
    steps,
    watched: [{ name, layer: 2 }],
    effect: {
      rows: 2,
      tokens: 20,
      loss: { without: 5, with: 4.5 },
      layers: [
        {
          layer: 2,
          intervenes: true,
          norm: 10,
          moved: 0,
          projectionChange: 0,
          gradientCosine: { without: -0.25, with: 0.125 },
        },
      ],
      unmoved: [2],
    },
  };
}

/** The page's elements, texts left out. */
const elements = (page: string): string => (page.match(/<[a-z/!][^\s>]*/g) ?? []).join();

describe('the report of a training', () => {
  it('shows losses, projections, rates, further terms and what steering did', () => {
    const page = renderTrainReport(data('evil'));
    for (const text of [
      'Loss by step',
      'held-out rows',
      'evil, layer 2',
      'Gradient norm by step',
      'Further terms of the loss',
      'moved nothing: check vector',
      '−0.250',
      '5.000 → 0.417',
    ])
      expect(page).toContain(text);
  });

  it('is made of the same elements whatever the names are, and asks for nothing from elsewhere', () => {
    const plain = elements(renderTrainReport(data('name')));
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        const name = `</title><script>${text}"'><img src=x onerror=1>`;
        const page = renderTrainReport(data(name));
        expect(elements(page)).toBe(plain);
        expect(page).not.toMatch(/<script|<img/);
      }),
      { numRuns: 50 },
    );
    expect(renderTrainReport(data('name'))).not.toMatch(/https?:|\/\/|url\(|@import|\ssrc=|href=/);
  });

  it('stands for a single step and for many, in a file of bounded size', () => {
    const one = renderTrainReport({ ...data('a', 1), watched: [], effect: null });
    expect(one).not.toMatch(/NaN|Infinity|undefined/);
    expect(renderTrainReport(data('a', 20_000)).length).toBeLessThan(300_000);
  });
});
