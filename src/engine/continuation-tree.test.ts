import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planTree } from './continuation-tree.ts';

describe('planTree', () => {
  it('feeds what continuations share once, and no last token', () => {
    const tree = planTree(
      [
        [1, 2, 9],
        [1, 3, 9],
        [1, 9],
        [4, 9],
      ],
      8,
    );
    expect(tree.first).toEqual(
      new Map([
        [1, [0, 1, 2]],
        [4, [3]],
      ]),
    );
    const steps = tree.lanes.map((lane) => lane.map(({ token, depth }) => [token, depth]));
    expect(steps).toEqual([
      [
        [1, 0],
        [2, 1],
        [3, 1],
      ],
      [[4, 0]],
    ]);
    expect(tree.depth).toBe(2);
  });

  it('spreads branches evenly over the lanes that there are', () => {
    const numbers = Array.from({ length: 101 }, (_, n) => Array.from(String(n), Number).concat(10));
    const lanes = planTree(numbers, 4).lanes.map((lane) => lane.length);
    // 10 first digits, 90 second ones and the end of 100.
    expect(lanes.reduce((sum, length) => sum + length, 0)).toBe(101);
    expect(Math.max(...lanes) - Math.min(...lanes)).toBeLessThanOrEqual(11);
    expect(planTree([[1], [2]], 4)).toMatchObject({ lanes: [], depth: 0 });
  });

  it('walks to every continuation through what it begins with', () => {
    const token = fc.integer({ min: 0, max: 3 });
    const lists = fc.array(fc.array(token, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 3 }), (continuations, most) => {
        const { first, lanes } = planTree(continuations, most);
        const reached = continuations.map((): number[] => []);
        for (const [id, indices] of first) for (const index of indices) reached[index]!.push(id);
        for (const lane of lanes) {
          // What the lane's slot holds behind the prompt; a step writes over what stood at its depth.
          const held: number[] = [];
          for (const { token: fed, depth, next } of lane) {
            held.splice(depth, Infinity, fed);
            for (const [id, indices] of next) {
              for (const index of indices) {
                expect(continuations[index]!.slice(0, depth + 1)).toEqual(held);
                reached[index]!.push(id);
              }
            }
          }
        }
        // Branches come in any order, but each token of a continuation is weighed once, behind its own beginning.
        expect(reached.map((ids) => ids.length)).toEqual(continuations.map((ids) => ids.length));
        const inOrder = (ids: readonly number[]): number[] => ids.toSorted((a, b) => a - b);
        expect(reached.map(inOrder)).toEqual(continuations.map(inOrder));
      }),
    );
  });
});
