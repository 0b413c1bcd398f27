import { describe, expect, it } from 'vitest';
import { peakGrowth } from '../../../test/helpers/peak-growth.ts';
import { f32, runGraph } from '../../../test/helpers/run-graph.ts';
import { GraphBuilder, type GraphNode, gradients, type Graph, printGraph, type Value } from '../index.ts';

/** Two blocks h + silu(norm(h) W) with a loss on top; gradients of the weights, the gain and the input. */
function blocks(recomputed: boolean): Graph {
  const g = new GraphBuilder('blocks');
  const x = g.input('x', 'f32', ['position', 4]);
  const gain = g.input('gain', 'f32', [4]);
  const weights = [g.input('w.0', 'f32', [4, 4]), g.input('w.1', 'f32', [4, 4])];
  let hidden = g.mul(x, x, 'embedded');
  const segments: (readonly GraphNode[])[] = [];
  for (const [i, w] of weights.entries()) {
    const before = g.nodes.length;
    hidden = g.scope(`block.${i}`, () => block(g, hidden, gain, w));
    segments.push(g.nodes.slice(before));
  }
  const loss = g.reduceSum(g.mul(hidden, hidden), [0, 1], { keepDims: false }, 'loss');
  const wrt = [x, gain, ...weights];
  const options = recomputed ? { recompute: segments } : {};
  gradients(g, loss, wrt, options).forEach((value, i) => g.output(`d.${wrt[i]!.name}`, value));
  g.output('loss.out', loss);
  return g.build();
}

function block(g: GraphBuilder, hidden: Value, gain: Value, weight: Value): Value {
  const product = g.matMul(g.rmsNorm(hidden, gain, 1e-6, 'normed'), weight, {}, 'product');
  return g.add(hidden, g.silu(product, 'act'), 'out');
}

const feeds = {
  x: f32([3, 4], [0.5, -1, 2, 0.25, 1.5, -0.5, 0.75, 1, -2, 0.3, 0.6, -0.9]),
  gain: f32([4], [1, 0.5, 2, 1.25]),
  'w.0': f32(
    [4, 4],
    Array.from({ length: 16 }, (_, i) => Math.sin(i)),
  ),
  'w.1': f32(
    [4, 4],
    Array.from({ length: 16 }, (_, i) => Math.cos(2 * i)),
  ),
};

describe('recompute', () => {
  it('changes no bit', async () => {
    const [kept, again] = [await runGraph(blocks(false), feeds), await runGraph(blocks(true), feeds)];
    expect(again).toEqual(kept);
  });

  it('computes a block again from its input, once a gradient has come to it, and only what rules read', () => {
    const text = printGraph(blocks(true));
    const again = text.split('\n').filter((line) => line.includes('recompute/') && line.includes(' = '));
    expect(again.map((line) => line.replace(/%\d+ /, '').trim())).toMatchInlineSnapshot(`
      [
        "constant gradient/block.1/out/recompute/0: f32[] = [0]",
        "gradient/block.1/out/recompute/slice: f32[1, 4] = slice(%19, axis=0, end=1, length=1, start=0)",
        "gradient/block.1/out/recompute/slice_2: f32[1, 1] = slice(%20, axis=1, end=1, start=0)",
        "gradient/block.1/out/recompute/reshape: f32[] = reshape(%21, shape=[])",
        "gradient/block.1/out/recompute/mul: f32[] = mul(%22, %23)",
        "gradient/block.1/act/recompute/add: f32[position, 4] = add(%8, %24)",
        "gradient/block.1/act/recompute/rmsNorm: f32[position, 4] = rmsNorm(%25, %1, epsilon=0.000001)",
        "gradient/block.1/act/recompute/matMul: f32[position, 4] = matMul(%26, %3)",
        "gradient/block.1/act/recompute/silu: f32[position, 4] = silu(%27)",
        "gradient/block.0/out/recompute/slice: f32[1, 4] = slice(%50, axis=0, end=1, length=1, start=0)",
        "gradient/block.0/out/recompute/slice_2: f32[1, 1] = slice(%54, axis=1, end=1, start=0)",
        "gradient/block.0/out/recompute/reshape: f32[] = reshape(%55, shape=[])",
        "gradient/block.0/out/recompute/mul: f32[] = mul(%56, %23)",
        "gradient/block.0/act/recompute/add: f32[position, 4] = add(%4, %57)",
        "gradient/block.0/act/recompute/rmsNorm: f32[position, 4] = rmsNorm(%58, %1, epsilon=0.000001)",
        "gradient/block.0/act/recompute/matMul: f32[position, 4] = matMul(%59, %2)",
        "gradient/block.0/act/recompute/silu: f32[position, 4] = silu(%60)",
      ]
    `);
  });

  it('lowers the peak of memory', () => {
    // 8 blocks with 6 results of 8 MB each.
    const kept = peakGrowth('kept-blocks');
    expect(peakGrowth('recomputed-blocks')).toBeLessThan(0.6 * kept);
  });
});
