import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NaiveTensor } from '../../test/helpers/naive-graph.ts';
import { evaluateNaively } from '../../test/helpers/naive-graph.ts';
import { randomGraph } from '../../test/helpers/random-graph.ts';
import type { Tensor } from '../../test/helpers/run-graph.ts';
import { f32, i32, i64, runGraph } from '../../test/helpers/run-graph.ts';
import type { Graph, Value } from './index.ts';
import { GraphBuilder, printGraph } from './index.ts';

/** Error of a few dozen fp32 steps, as a share of a tensor's largest number. */
const tolerance = 2e-5;

/** Runs a graph in the runtime and by hand; says where shapes or numbers of an output differ. */
async function disagreements(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  names: Readonly<Record<string, number>> = {},
): Promise<readonly string[]> {
  const numbers = Object.fromEntries(
    Object.entries(feeds).map(([name, { data }]) => [name, Float64Array.from(data, Number)]),
  );
  const expected = evaluateNaively(graph, numbers, names);
  const got = await runGraph(graph, feeds);
  return graph.outputs.flatMap(({ name }) => {
    const [right, actual] = [expected[name]!, got[name]!];
    const where = `${name} in\n${printGraph(graph)}`;
    if (String(actual.dims) !== String(right.dims)) return [`shape [${actual.dims.join()}] of ${where}`];
    const error = largestError(actual, right);
    return error < tolerance ? [] : [`error ${error} of ${where}`];
  });
}

/** Largest difference as a share of the largest number (at least 1). */
function largestError(got: Tensor, expected: NaiveTensor): number {
  const largest = expected.data.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
  // NaN counts as wrong.
  return expected.data.reduce((most, x, at) => {
    const error = Math.abs(Number(got.data[at]) - x) / largest;
    return error <= most ? most : error;
  }, 0);
}

const wave = (length: number, phase = 0): number[] =>
  Array.from({ length }, (_, i) => Math.sin(1.7 * i + phase));

describe('random graphs', () => {
  it('have the shapes that the type rules say and the numbers of the naive evaluation', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom('all' as const, 'leaves' as const),
        fc.record({ batch: fc.integer({ min: 1, max: 3 }), position: fc.integer({ min: 1, max: 4 }) }),
        async (seed, steps, outputs, lengths) => {
          const { graph, x } = randomGraph(seed, steps, outputs, lengths);
          const feeds = { x: f32([lengths.batch, lengths.position, 4], x) };
          expect(await disagreements(graph, feeds, { ...lengths })).toEqual([]);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('single ops against the naive evaluation', () => {
  const cases: readonly [
    string,
    Readonly<Record<string, Tensor>>,
    (g: GraphBuilder, x: Readonly<Record<string, Value>>) => Value,
  ][] = [
    [
      'gather',
      { table: f32([5, 3], wave(15)), ids: i64([2, 2], [4, 0, 1, 4]) },
      (g, { table, ids }) => g.gather(table!, ids!),
    ],
    [
      'gather of a 3-axis table by i32',
      { table: f32([4, 2, 3], wave(24)), ids: i32([3], [3, 0, 3]) },
      (g, { table, ids }) => g.gather(table!, ids!),
    ],
    [
      'gatherRows',
      { x: f32([2, 4, 3], wave(24)), index: i64([2, 2], [3, 0, 1, 1]) },
      (g, { x, index }) => g.gatherRows(x!, index!),
    ],
    [
      'gatherRows with a last axis of 1',
      { x: f32([2, 4, 3], wave(24)), index: i64([2, 1, 1], [3, 2]) },
      (g, { x, index }) => g.gatherRows(x!, index!),
    ],
    [
      'rmsNorm of heads',
      { x: f32([2, 3, 2, 4], wave(48)), gain: f32([4], [1, 2, -1, 0.5]) },
      (g, { x, gain }) => g.rmsNorm(x!, gain!, 1e-2),
    ],
    [
      'div of i64',
      { a: i64([4], [7, -7, 8, 0]), b: i64([4], [7, 7, -2, 3]) },
      (g, { a, b }) => g.div(a!, b!),
    ],
    [
      'transposeA',
      { a: f32([2, 5, 3], wave(30)), b: f32([2, 5, 4], wave(40)) },
      (g, { a, b }) => g.matMul(a!, b!, { transposeA: true }),
    ],
    [
      'transposeA with one matrix for a batch',
      { a: f32([2, 5, 3], wave(30)), b: f32([5, 4], wave(20)) },
      (g, { a, b }) => g.matMul(a!, b!, { transposeA: true }),
    ],
    [
      'both transposed',
      { a: f32([2, 5, 3], wave(30)), b: f32([2, 4, 5], wave(40)) },
      (g, { a, b }) => g.matMul(a!, b!, { transposeA: true, transposeB: true }),
    ],
    [
      'transposeB with broadcast batches',
      { a: f32([2, 1, 3, 5], wave(30)), b: f32([3, 4, 5], wave(60)) },
      (g, { a, b }) => g.matMul(a!, b!, { transposeB: true, alpha: -2 }),
    ],
    [
      'alpha alone',
      { a: f32([3, 5], wave(15)), b: f32([5, 2], wave(10)) },
      (g, { a, b }) => g.matMul(a!, b!, { alpha: 3 }),
    ],
    [
      'an inner axis of length 0',
      { a: f32([2, 3, 0], []), b: f32([2, 0, 4], []) },
      (g, { a, b }) => g.matMul(a!, b!),
    ],
    [
      'an inner axis of length 0, transposed',
      { a: f32([2, 3, 0], []), b: f32([4, 0], []) },
      (g, { a, b }) => g.matMul(a!, b!, { transposeB: true }),
    ],
    [
      'a result of length 0',
      { a: f32([2, 3, 4], wave(24)), b: f32([2, 0, 4], []) },
      (g, { a, b }) => g.matMul(a!, b!, { transposeB: true }),
    ],
    [
      'sum over an empty axis',
      { x: f32([2, 0], []) },
      (g, { x }) => g.reduceSum(x!, [1], { keepDims: false }),
    ],
    [
      'elementwise over an empty axis',
      { a: f32([2, 0, 3], []), b: f32([2, 1, 3], wave(6)) },
      (g, { a, b }) => g.mul(g.tanh(a!), b!),
    ],
    ['reshape beside an empty axis', { x: f32([2, 0, 6], []) }, (g, { x }) => g.reshape(x!, [2, 0, 2, 3])],
    ['expand', { x: f32([2, 1, 3], wave(6)) }, (g, { x }) => g.expand(x!, [4, 2, 5, 3])],
    ['expand to nothing', { x: f32([1, 3], wave(3)) }, (g, { x }) => g.expand(x!, [0, 3])],
    ['slice to nothing', { x: f32([2, 3], wave(6)) }, (g, { x }) => g.slice(x!, 1, 3, undefined)],
  ];
  it.each(cases)('%s', async (_, feeds, define) => {
    const g = new GraphBuilder('single');
    const dtype = (data: Tensor['data']): 'f32' | 'i64' | 'i32' =>
      data instanceof Float32Array ? 'f32' : data instanceof BigInt64Array ? 'i64' : 'i32';
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { dims, data }]) => [name, g.input(name, dtype(data), dims)]),
    );
    g.output('result', define(g, inputs));
    expect(await disagreements(g.build(), feeds)).toEqual([]);
  });

  it('addRmsNorm gives the norm and the sum', async () => {
    const g = new GraphBuilder('addRmsNorm');
    const x = g.input('x', 'f32', ['batch', 'position', 8]);
    const skip = g.input('skip', 'f32', ['batch', 'position', 8]);
    const gain = g.constant('gain', Float32Array.from(wave(8, 1)), [8]);
    const [normed, sum] = g.addRmsNorm(x, skip, gain, 1e-3);
    g.output('normed', normed);
    g.output('sum', sum);
    const feeds = { x: f32([2, 3, 8], wave(48)), skip: f32([2, 3, 8], wave(48, 2)) };
    expect(await disagreements(g.build(), feeds, { batch: 2, position: 3 })).toEqual([]);
  });

  it('named axes of length 0 run through a whole edit of the residual stream', async () => {
    const g = new GraphBuilder('edit');
    const x = g.input('x', 'f32', ['batch', 'position', 4]);
    const u = g.input('u', 'f32', ['batch', 'direction', 4]);
    const add = g.input('add', 'f32', ['batch', 1, 'direction']);
    const projection = g.matMul(x, u, { transposeB: true });
    const shift = g.sub(g.min(projection, add), projection);
    g.output('edited', g.add(x, g.matMul(shift, u)));
    for (const direction of [0, 2]) {
      const feeds = {
        x: f32([2, 3, 4], wave(24)),
        u: f32([2, direction, 4], wave(8 * direction, 1)),
        add: f32([2, 1, direction], wave(2 * direction, 2)),
      };
      expect(await disagreements(g.build(), feeds, { batch: 2, position: 3, direction })).toEqual([]);
    }
  });

  it('matMulNBits weighs with (q − zero point) · scale, low bits first', async () => {
    const [K, N, blockSize] = [32, 3, 16];
    for (const bits of [4, 8] as const) {
      for (const hasZeroPoints of [false, true]) {
        const g = new GraphBuilder('matMulNBits');
        const blocks = K / blockSize;
        const q = Uint8Array.from({ length: (N * K * bits) / 8 }, (_, i) => (37 * i + 11) % 256);
        const scales = Float32Array.from(wave(N * blocks, 1), (x) => 0.05 * (1.5 + x));
        const zeroPoints = Uint8Array.from(
          { length: N * Math.ceil((blocks * bits) / 8) },
          (_, i) => (29 * i + 5) % 256,
        );
        const zeroShape = [N, zeroPoints.length / N];
        const y = g.matMulNBits(
          g.input('x', 'f32', ['batch', K]),
          g.constant('q', q, [N, blocks, (blockSize * bits) / 8]),
          g.constant('scales', scales, [N, blocks]),
          hasZeroPoints ? g.constant('zeroPoints', zeroPoints, zeroShape) : null,
          { K, N, bits, blockSize },
        );
        g.output('y', y);
        const code = (bytes: Uint8Array, row: number, perRow: number, at: number): number =>
          bits === 8 ? bytes[row * perRow + at]! : (bytes[row * perRow + (at >> 1)]! >> (4 * (at & 1))) & 15;
        const x = wave(2 * K, 3);
        const expected = [0, 1].flatMap((row) =>
          Array.from({ length: N }, (_, n) => {
            let sum = 0;
            for (let k = 0; k < K; k++) {
              const block = Math.floor(k / blockSize);
              const zero = hasZeroPoints ? code(zeroPoints, n, zeroShape[1]!, block) : 2 ** (bits - 1);
              sum += x[row * K + k]! * (code(q, n, (K * bits) / 8, k) - zero) * scales[n * blocks + block]!;
            }
            return sum;
          }),
        );
        const got = (await runGraph(g.build(), { x: f32([2, K], x) }))['y']!;
        expect(got.dims).toEqual([2, N]);
        expect(largestError(got, { dims: [2, N], data: Float64Array.from(expected) })).toBeLessThan(1e-5);
      }
    }
  });

  it('rows that a table does not have are the runtime’s error, not the graph’s', async () => {
    const g = new GraphBuilder('gather');
    g.output('rows', g.gather(g.input('table', 'f32', [5, 3]), g.input('ids', 'i64', ['batch'])));
    const feeds = { table: f32([5, 3], wave(15)), ids: i64([1], [5]) };
    await expect(runGraph(g.build(), feeds)).rejects.toThrow('out of data bounds');
  });
});
