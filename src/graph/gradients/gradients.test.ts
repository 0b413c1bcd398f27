import { describe, expect, it } from 'vitest';
import type { Differentiable } from '../../../test/helpers/check-gradients.ts';
import { f32, runGraph } from '../../../test/helpers/run-graph.ts';
import type { Value } from '../index.ts';
import { GraphBuilder, gradients, printGraph } from '../index.ts';

type Define = Differentiable['define'];

describe('what is differentiated', () => {
  it('is only what lies between wrt and the loss', () => {
    const g = new GraphBuilder('path');
    const [x, frozen, w] = [
      g.input('x', 'f32', [2, 4]),
      g.input('frozen', 'f32', [4, 4]),
      g.input('w', 'f32', [4, 4]),
    ];
    const hidden = g.tanh(g.matMul(x, frozen, {}, 'hidden'));
    const loss = g.reduceSum(g.matMul(hidden, w, {}, 'result'), [0, 1], { keepDims: false }, 'loss');
    g.output('dw', gradients(g, loss, [w])[0]!);
    g.output('loss.out', loss);
    expect(printGraph(g.build())).toMatchInlineSnapshot(`
      "graph path
      input %0 x: f32[2, 4]
      input %1 frozen: f32[4, 4]
      input %2 w: f32[4, 4]
      constant %7 1: f32[] = [1]
      %3 hidden: f32[2, 4] = matMul(%0, %1)
      %4 tanh: f32[2, 4] = tanh(%3)
      %5 result: f32[2, 4] = matMul(%4, %2)
      %6 loss.out: f32[] = reduceSum(%5, axes=[0, 1], keepDims=false)
      %8 gradient/loss/unsqueeze: f32[1, 1] = unsqueeze(%7, axes=[0, 1])
      %9 gradient/result/expand: f32[2, 4] = expand(%8, shape=[2, 4])
      %10 dw: f32[4, 4] = matMul(%4, %9, transposeA=true)
      output %10 dw
      output %6 loss.out
      "
    `);
  });

  it('are values inside the graph too, and a loss given by seeds', async () => {
    const g = new GraphBuilder('seeds');
    const x = g.input('x', 'f32', [2]);
    const [inner, seed] = [g.mul(x, x), g.input('seed', 'f32', [2])];
    const [dInner, dx] = gradients(
      g,
      [
        { value: g.exp(inner), gradient: seed },
        { value: inner, gradient: seed },
      ],
      [inner, x],
    );
    g.output('dInner', dInner!);
    g.output('dx', dx!);
    const got = await runGraph(g.build(), { x: f32([2], [0.5, -1]), seed: f32([2], [1, 10]) });
    const slope = [1 + Math.exp(0.25), 10 + 10 * Math.exp(1)];
    // To the rounding of the runtime's exp.
    for (const [i, of] of slope.entries()) {
      expect(Number(got['dInner']!.data[i]) / of).toBeCloseTo(1, 6);
      expect(Number(got['dx']!.data[i]) / (of * [1, -2][i]!)).toBeCloseTo(1, 6);
    }
  });

  it('a constant stays one', async () => {
    const feeds = { x: f32([2], [0.5, -1]) };
    const define: Define = (g, { x }) => g.mul(x!, g.stopGradient(g.exp(x!)));
    const g = new GraphBuilder('constant');
    const x = g.input('x', 'f32', [2]);
    const loss = g.reduceSum(define(g, { x }) as Value, [0], { keepDims: false });
    g.output('d', gradients(g, loss, [x])[0]!);
    g.output('loss', loss);
    expect((await runGraph(g.build(), feeds))['d']!.data).toEqual(
      Float32Array.of(Math.exp(0.5), Math.exp(-1)),
    );
  });
});

describe('what is refused', () => {
  const setUp = (): { g: GraphBuilder; x: Value; loss: Value } => {
    const g = new GraphBuilder('refused');
    const x = g.input('x', 'f32', [2, 3]);
    return { g, x, loss: g.reduceSum(x, [0, 1], { keepDims: false }, 'loss') };
  };

  it('a value that the loss does not depend on', () => {
    const { g, loss } = setUp();
    const other = g.input('other', 'f32', [2]);
    expect(() => gradients(g, loss, [other])).toThrow(
      'expected values that loss depends on, got %2 other: f32[2]; leave it out of wrt',
    );
    const { g: g2, x } = setUp();
    const stopped = g2.reduceSum(g2.stopGradient(x), [0, 1], { keepDims: false });
    expect(() => gradients(g2, stopped, [x])).toThrow('expected values that reduceSum depends on');
  });

  it('a loss of several numbers, integers, and seeds of another type', () => {
    const { g, x, loss } = setUp();
    expect(() => gradients(g, x, [x])).toThrow(
      'expected a loss of one number, got %0 x: f32[2, 3]; sum it, or give seeds',
    );
    expect(() => gradients(g, loss, [g.input('ids', 'i64', [2])])).toThrow(
      'expected floats, got %2 ids: i64[2]',
    );
    expect(() => gradients(g, [{ value: x, gradient: loss }], [x])).toThrow(
      'expected the gradient of %0 x: f32[2, 3] in its type, got f32[]',
    );
  });

  it('a slice of a named axis whose place is not known', () => {
    const g = new GraphBuilder('slice');
    const x = g.input('x', 'f32', ['position']);
    const loss = g.reduceSum(g.slice(x, 0, -2, undefined, { length: 'two' }, 'last'), [0], {
      keepDims: false,
    });
    expect(() => gradients(g, loss, [x])).toThrow(
      'Gradient of slice (last): how much of the named axis position is left away on each side is not known; expected a start ≥ 0 and an end < 0 or none.',
    );
  });

  it('attention in one kernel', () => {
    const g = new GraphBuilder('attention');
    const x = g.input('x', 'f32', ['batch', 'position', 24]);
    const past = (name: string): Value => g.input(name, 'f32', ['batch', 1, 'capacity', 8]);
    const [seqlens, total] = [g.input('seqlens', 'i32', ['batch']), g.input('total', 'i32', [1])];
    const options = { heads: 1, kvHeads: 1, rotary: false };
    const [out] = g.groupQueryAttention(
      x,
      null,
      null,
      past('key'),
      past('value'),
      seqlens,
      total,
      null,
      null,
      options,
    );
    const loss = g.reduceSum(out, [0, 1, 2], { keepDims: false });
    expect(() => gradients(g, loss, [x])).toThrow(
      'expected attention composed of matMul, add (a mask), softmax and matMul',
    );
  });
});
