import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BatchPlan, batchPlanner, splitRows, stepsPerEpoch } from './batches.ts';
import { RowStore } from './row-store.ts';

function store(lengths: readonly number[]): RowStore {
  const rows = new RowStore();
  lengths.forEach((length, i) =>
    rows.add({
      key: `row ${i}`,
      ids: Array.from({ length }, (_, k) => k),
      weights: new Float32Array(length).fill(1),
      promptLength: 0,
    }),
  );
  return rows;
}

const anyPlan = fc
  .record({
    lengths: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 40 }),
    perDevice: fc.integer({ min: 1, max: 5 }),
    accumulation: fc.integer({ min: 1, max: 4 }),
    shuffle: fc.boolean(),
    seed: fc.nat(),
    packLength: fc.constantFrom(null, 30, 64),
  })
  .map(({ lengths, ...plan }): BatchPlan => ({ ...plan, rows: store(lengths) }));

describe('the batches of an epoch', () => {
  it('hold every row once, at most an effective batch a step', () => {
    fc.assert(
      fc.property(anyPlan, fc.integer({ min: 0, max: 3 }), (plan, epoch) => {
        const perEpoch = stepsPerEpoch(plan);
        const batchOf = batchPlanner(plan);
        const steps = Array.from({ length: perEpoch }, (_, i) => batchOf(epoch * perEpoch + i));
        const seen = steps.flatMap(({ passes }) => passes.flat());
        expect([...seen].sort((a, b) => a - b)).toEqual(
          Array.from({ length: plan.rows.length }, (_, i) => i),
        );
        expect(steps.every((step) => step.epoch === epoch)).toBe(true);
        for (const { passes } of steps) {
          expect(passes.flat().length).toBeLessThanOrEqual(plan.perDevice * plan.accumulation);
          for (const pass of passes) {
            const tokens = pass.reduce((sum, index) => sum + plan.rows.lengthOf(index), 0);
            const filled = plan.packLength === null ? pass.length : tokens / plan.packLength;
            expect(filled).toBeLessThanOrEqual(plan.perDevice);
          }
        }
      }),
    );
  });

  it('are the same for any step asked for alone, as after a restart', () => {
    fc.assert(
      fc.property(anyPlan, fc.integer({ min: 0, max: 60 }), (plan, step) => {
        const running = batchPlanner(plan);
        for (let before = 0; before < step; before++) running(before);
        expect(batchPlanner(plan)(step)).toEqual(running(step));
      }),
    );
  });

  it('come in another order in every epoch and for every seed', () => {
    const plan = {
      rows: store(Array.from({ length: 40 }, () => 3)),
      perDevice: 40,
      accumulation: 1,
      packLength: null,
    };
    const rows = store(Array.from({ length: 40 }, (_, i) => i + 1));
    const order = (seed: number, epoch: number): number[] =>
      Array.from({ length: 10 }, (_, i) =>
        batchPlanner({ ...plan, rows, perDevice: 4, shuffle: true, seed })(10 * epoch + i).passes.flat(),
      ).flat();
    expect(order(1, 0)).not.toEqual(order(1, 1));
    expect(order(1, 0)).not.toEqual(order(2, 0));
    expect(order(1, 0)).toEqual(order(1, 0));
  });

  it('put rows of similar length into one pass, the longest first', () => {
    const plan = { rows: store([3, 9, 4, 8, 1]), perDevice: 2, accumulation: 3, shuffle: false, seed: 0 };
    expect(batchPlanner({ ...plan, packLength: null })(0).passes).toEqual([[1, 3], [2, 0], [4]]);
    expect(batchPlanner({ ...plan, packLength: 9 })(0).passes).toEqual([
      [1, 3, 4],
      [2, 0],
    ]);
  });
});

describe('a test split', () => {
  it('takes a share or a number of the rows, and loses none', () => {
    for (const [share, count] of [
      [0.1, 5],
      [7, 7],
      [0, 0],
    ] as const) {
      const { train, test } = splitRows(50, share, 3);
      expect(test).toHaveLength(count);
      expect([...train, ...test].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    }
    expect(splitRows(50, 0.2, 3)).toEqual(splitRows(50, 0.2, 3));
    expect(splitRows(50, 0.2, 3).test).not.toEqual(splitRows(50, 0.2, 4).test);
  });
});
