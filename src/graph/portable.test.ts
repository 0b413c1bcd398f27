import { describe, expect, it } from 'vitest';
import { loadGraph } from '../../test/helpers/run-graph.ts';
import { relativeError } from '../../test/helpers/numbers.ts';
import { GraphBuilder } from './graph.ts';
import { portableGraph } from './portable.ts';
import type { Graph } from './types.ts';
import { verifyGraph } from './verify.ts';

const numbers = (length: number, step: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(step * (i + 1)));

/** `[2, n, 3]` by a shared `[4, 3]`, transposed on the way, twice, once scaled; and rows of that matrix. */
function products(): Graph {
  const g = new GraphBuilder('products');
  const x = g.input('x', 'f32', [2, 'n', 3]);
  const weight = g.constant('weight', numbers(12, 0.7), [4, 3]);
  const y = g.matMul(x, weight, { transposeB: true });
  g.output('scaled', g.matMul(x, weight, { transposeB: true, alpha: 0.25 }));
  g.output('inner', g.matMul(x, y, { transposeA: true }));
  g.output('plain', g.matMul(y, weight));
  return g.build();
}

/** Rows of a table in 16-bit floats, widened. */
function lookup(): Graph {
  const g = new GraphBuilder('lookup');
  const table = g.input('table', 'f16', ['rows', 3]);
  const ids = g.input('ids', 'i64', ['n']);
  g.output('rows', g.cast(g.gather(table, ids), 'f32'));
  return g.build();
}

describe('portableGraph', () => {
  it('gives the same products without fused ones', async () => {
    const [graph, portable] = [products(), portableGraph(products())];
    verifyGraph(portable);
    expect(
      portable.nodes.filter(({ op, attributes }) => op === 'matMul' && Object.keys(attributes).length > 0),
    ).toEqual([]);
    // The weight is transposed once for the two products that read it so.
    expect(portable.nodes.filter(({ op }) => op === 'transpose')).toHaveLength(2);
    const feeds = { x: { dims: [2, 5, 3], data: numbers(30, 1.3) } };
    const [ours, theirs] = [
      await (await loadGraph(portable)).run(feeds),
      await (await loadGraph(graph)).run(feeds),
    ];
    for (const name of ['scaled', 'inner', 'plain']) {
      expect(ours[name]!.dims).toEqual(theirs[name]!.dims);
      expect(
        relativeError(ours[name]!.data as Float32Array, theirs[name]!.data as Float32Array),
      ).toBeLessThan(1e-6);
    }
  });

  it('takes rows from a widened table', () => {
    const portable = portableGraph(lookup());
    verifyGraph(portable);
    expect(portable.nodes.map(({ op, outputs }) => [op, outputs[0]!.type.dtype])).toEqual([
      ['cast', 'f32'],
      ['gather', 'f32'],
    ]);
    expect(portable.outputs).toEqual(lookup().outputs);
  });
});
