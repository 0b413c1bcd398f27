import { describe, expect, it } from 'vitest';
import { gradientErrors, type Differentiable } from '../../../test/helpers/check-gradients.ts';
import { rotaryTable } from '../../../test/helpers/naive-attention.ts';
import { f32, i32, i64, runGraph } from '../../../test/helpers/run-graph.ts';
import { crossEntropy, GraphBuilder, gradients, printGraph } from '../index.ts';

const wave = (length: number, phase = 0): number[] =>
  Array.from({ length }, (_, i) => Math.sin(1.7 * i + phase) + 0.05);
/** Between 0.4 and 1.6. */
const positive = (length: number): number[] => wave(length, 0.5).map((x) => 1 + 0.55 * x);

type Define = Differentiable['define'];
type Case = readonly [name: string, feeds: Differentiable['feeds'], define: Define];

const named = { a: ['batch', 'position', 3], names: { batch: 2, position: 4 } };

describe('elementwise ops', () => {
  const pair = { a: f32([2, 3], wave(6)), b: f32([2, 3], positive(6)) };
  const broadcast = { a: f32([2, 1, 3], wave(6)), b: f32([4, 1], positive(4)) };
  const cases: Case[] = (['add', 'sub', 'mul', 'div', 'min', 'max'] as const).flatMap((op): Case[] => [
    [op, pair, (g, { a, b }) => g[op](a!, b!)],
    [`${op}, both broadcast`, broadcast, (g, { a, b }) => g[op](a!, b!)],
    [`${op} with a scalar`, { a: f32([2, 3], wave(6)), b: f32([], [0.7]) }, (g, { a, b }) => g[op](b!, a!)],
  ]);
  for (const op of ['neg', 'exp', 'sigmoid', 'silu', 'tanh', 'identity'] as const) {
    cases.push([op, { x: f32([2, 3], wave(6)) }, (g, { x }) => g[op](x!)]);
  }
  for (const op of ['log', 'sqrt', 'reciprocal'] as const) {
    cases.push([op, { x: f32([2, 3], positive(6)) }, (g, { x }) => g[op](x!)]);
  }
  cases.push(
    ['a value used twice in one op', { x: f32([3], wave(3)) }, (g, { x }) => g.mul(x!, x!)],
    [
      'where',
      { a: f32([2, 3], wave(6)), b: f32([1, 3], positive(3)), c: f32([2, 1], wave(2, 2)) },
      (g, { a, b, c }) => [g.where(g.greaterOrEqual(a!, b!), c!, b!), g.mul(a!, a!)],
    ],
    [
      'cast to f64 and back',
      { x: f32([2, 3], wave(6)) },
      (g, { x }) => g.cast(g.exp(g.cast(x!, 'f64')), 'f32'),
    ],
  );
  it.each(cases)('%s', async (_, feeds, define) => {
    expect(await gradientErrors({ feeds, define })).toEqual([]);
  });

  it('along named axes', async () => {
    const problem: Differentiable = {
      feeds: { x: f32([2, 4, 3], wave(24)), gain: f32([3], positive(3)), bias: f32([1, 1, 1], [0.3]) },
      shapes: { x: named.a },
      names: named.names,
      define: (g, { x, gain, bias }) => g.silu(g.add(g.mul(x!, gain!), bias!)),
    };
    expect(await gradientErrors(problem)).toEqual([]);
  });

  it('equal numbers: the gradient of min and max goes to the first', async () => {
    const g = new GraphBuilder('ties');
    const [a, b] = [g.input('a', 'f32', [2]), g.input('b', 'f32', [2])];
    const loss = g.reduceSum(g.add(g.min(a, b), g.max(a, b)), [0], { keepDims: false });
    gradients(g, loss, [a, b]).forEach((value, index) => g.output(`d.${index}`, value));
    g.output('loss', loss);
    const { 'd.0': da, 'd.1': db } = await runGraph(g.build(), { a: f32([2], [1, 2]), b: f32([2], [1, 2]) });
    expect([da!.data, db!.data]).toEqual([Float32Array.of(2, 2), Float32Array.of(0, 0)]);
  });
});

describe('products', () => {
  const flags = [false, true];
  const cases = flags.flatMap((transposeA) =>
    flags.flatMap((transposeB) =>
      [undefined, -0.5].flatMap((alpha) => {
        const options = { transposeA, transposeB, ...(alpha !== undefined && { alpha }) };
        const a = transposeA ? [5, 3] : [3, 5];
        const b = transposeB ? [4, 5] : [5, 4];
        return (
          [
            ['matrices', a, b],
            ['batches', [2, ...a], [2, ...b]],
            ['one right matrix for a batch', [2, 2, ...a], b],
            ['one left matrix for a batch', a, [2, ...b]],
            ['broadcast batches', [2, 1, ...a], [3, ...b]],
          ] as const
        ).map(([what, left, right]) => [what, options, left, right] as const);
      }),
    ),
  );
  it.each(cases)('%s, %o', async (_, options, left, right) => {
    const size = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);
    const feeds = { a: f32(left, wave(size(left))), b: f32(right, wave(size(right), 1)) };
    expect(await gradientErrors({ feeds, define: (g, { a, b }) => g.matMul(a!, b!, options) })).toEqual([]);
  });

  it('one long sum for a weight that a whole batch shares', () => {
    const g = new GraphBuilder('linear');
    const [x, w] = [g.input('x', 'f32', ['batch', 'position', 8]), g.input('w', 'f32', [4, 8])];
    const dy = g.input('dy', 'f32', ['batch', 'position', 4]);
    const y = g.matMul(x, w, { transposeB: true }, 'y');
    gradients(g, [{ value: y, gradient: dy }], [x, w]).forEach((value, index) =>
      g.output(`d.${index}`, value),
    );
    g.output('y', y);
    expect(printGraph(g.build())).toMatchInlineSnapshot(`
      "graph linear
      input %0 x: f32[batch, position, 8]
      input %1 w: f32[4, 8]
      input %2 dy: f32[batch, position, 4]
      %3 y: f32[batch, position, 4] = matMul(%0, %1, transposeB=true)
      %4 d.0: f32[batch, position, 8] = matMul(%2, %1)
      %5 gradient/y/reshape: f32[batch*position, 4] = reshape(%2, shape=[batch*position, 4])
      %6 gradient/y/reshape_2: f32[batch*position, 8] = reshape(%0, shape=[batch*position, 8])
      %7 d.1: f32[4, 8] = matMul(%5, %6, transposeA=true)
      output %4 d.0
      output %7 d.1
      output %3 y
      "
    `);
  });

  it('in f64', async () => {
    const feeds = { a: f32([3, 5], wave(15)), b: f32([5, 4], wave(20)) };
    const define: Define = (g, { a, b }) => g.cast(g.matMul(g.cast(a!, 'f64'), g.cast(b!, 'f64')), 'f32');
    expect(await gradientErrors({ feeds, define })).toEqual([]);
  });
});

describe('shape ops', () => {
  const x = f32([2, 3, 4], wave(24));
  const cases: Case[] = [
    ['reshape', { x }, (g, { x }) => g.reshape(x!, [6, 2, 2])],
    ['expand', { x: f32([2, 1], wave(2)) }, (g, { x }) => g.expand(x!, [3, 2, 4])],
    ['transpose', { x }, (g, { x }) => g.transpose(x!, [2, 0, 1])],
    ['unsqueeze', { x }, (g, { x }) => g.unsqueeze(x!, [0, -1])],
    ['squeeze', { x: f32([2, 1, 3, 1], wave(6)) }, (g, { x }) => g.squeeze(x!, [-3, 3])],
    ['concat', { x, y: f32([2, 1, 4], wave(8, 1)) }, (g, { x, y }) => g.concat([x!, y!, x!], -2)],
    ['slice', { x }, (g, { x }) => [g.slice(x!, 1, 1, undefined), g.slice(x!, -1, -3, -1)]],
    ['a slice beyond the axis', { x }, (g, { x }) => g.slice(x!, 1, -9, 2)],
    ['split', { x }, (g, { x }) => g.split(x!, 2, [1, 3])],
    ['a part of a split', { x }, (g, { x }) => g.split(x!, 2, [1, 2, 1])[1]!],
    ['pad', { x }, (g, { x }) => [g.pad(x!, -1, 2, 1), g.pad(x!, 1, 1, 0)]],
  ];
  it.each(cases)('%s', async (_, feeds, define) => {
    expect(await gradientErrors({ feeds, define })).toEqual([]);
  });

  const onNamedAxes: readonly (readonly [string, Define])[] = [
    ['merging and parting them', (g, { x }) => g.tanh(g.reshape(x!, ['batch*position', 3]))],
    ['moving them', (g, { x }) => g.transpose(x!, [1, 0, 2])],
    ['a slice', (g, { x }) => g.slice(x!, 1, 1, -2, { length: 'middle' })],
    [
      'a concat with one named part',
      (g, { x }) => {
        const first = g.slice(x!, 2, 0, 1);
        const edge = g.reduceSum(first, [1]);
        return g.concat([edge, first, edge, edge], 1, { length: 'longer' });
      },
    ],
    ['a pad', (g, { x }) => g.pad(x!, 1, 1, 2, { length: 'longer' })],
    ['a part of a split', (g, { x }) => g.split(x!, 2, [1, 2])[1]!],
    ['means over them', (g, { x }) => g.reduceMean(x!, [0, 2, 1])],
    [
      'sums and largest ones',
      (g, { x }) => [g.reduceSum(x!, [1], { keepDims: false }), g.reduceMax(x!, [-2])],
    ],
  ];
  it.each(onNamedAxes)('named axes: %s', async (_, define) => {
    const problem = {
      feeds: { x: f32([2, 4, 3], wave(24)) },
      shapes: { x: named.a },
      names: { ...named.names, middle: 1, longer: 7 },
      define,
    };
    expect(await gradientErrors(problem)).toEqual([]);
  });
});

describe('reductions', () => {
  const x = f32([2, 3, 4], wave(24));
  const cases: Case[] = (['reduceSum', 'reduceMean', 'reduceMax'] as const).flatMap((op): Case[] => [
    [op, { x }, (g, { x }) => g[op](x!, [1])],
    [`${op} of several axes, dropped`, { x }, (g, { x }) => g[op](x!, [-1, 0], { keepDims: false })],
    [`${op} of all axes`, { x }, (g, { x }) => g[op](x!, [0, 1, 2], { keepDims: false })],
  ]);
  for (const op of ['softmax', 'logSoftmax'] as const) {
    cases.push(
      [op, { x }, (g, { x }) => g[op](x!, -1)],
      [`${op} of axis 1`, { x }, (g, { x }) => g[op](x!, 1)],
    );
  }
  it.each(cases)('%s', async (_, feeds, define) => {
    expect(await gradientErrors({ feeds, define })).toEqual([]);
  });

  it('of several largest elements each gets its share', async () => {
    const g = new GraphBuilder('ties');
    const x = g.input('x', 'f32', [4]);
    const loss = g.reduceMax(x, [0], { keepDims: false });
    g.output('d', gradients(g, loss, [x])[0]!);
    const { d } = await runGraph(g.build(), { x: f32([4], [3, 1, 3, 2]) });
    expect(d!.data).toEqual(Float32Array.of(0.5, 0, 0.5, 0));
  });
});

describe('norms, lookups and rotation', () => {
  const { cos, sin } = rotaryTable(6, 4, 100);
  const cases: Case[] = [
    [
      'rmsNorm',
      { x: f32([2, 3, 4], wave(24)), gain: f32([4], positive(4)) },
      (g, { x, gain }) => g.rmsNorm(x!, gain!, 1e-2),
    ],
    [
      'addRmsNorm',
      { x: f32([2, 2, 4], wave(16)), y: f32([2, 2, 4], wave(16, 2)), gain: f32([4], positive(4)) },
      (g, { x, y, gain }) => [...g.addRmsNorm(x!, y!, gain!, 1e-2)],
    ],
    [
      'addRmsNorm of which only the sum is used',
      { x: f32([2, 4], wave(8)), y: f32([2, 4], wave(8, 2)) },
      (g, { x, y }) => g.addRmsNorm(x!, y!, g.constant('gain', Float32Array.from(positive(4)), [4]), 1e-2)[1],
    ],
    [
      'addRmsNorm of which only the norm is used',
      { x: f32([2, 4], wave(8)), y: f32([2, 4], wave(8, 2)), gain: f32([4], positive(4)) },
      (g, { x, y, gain }) => g.addRmsNorm(x!, y!, gain!, 1e-2)[0],
    ],
    [
      'gather, with rows that repeat',
      { table: f32([5, 3], wave(15)), ids: i64([2, 3], [4, 0, 1, 4, 4, 1]) },
      (g, { table, ids }) => g.gather(table!, ids!),
    ],
    [
      'gather by i32 of a table that is used elsewhere too',
      { table: f32([5, 2, 3], wave(30)), ids: i32([4], [4, 0, 0, 4]) },
      (g, { table, ids }) => [g.gather(table!, ids!), g.tanh(table!), g.gather(table!, ids!)],
    ],
    [
      'gather of one row, and of numbers',
      { table: f32([5], wave(5)), one: i64([], [3]), ids: i64([2, 2], [0, 3, 3, 3]) },
      (g, { table, one, ids }) => [g.gather(table!, one!), g.gather(table!, ids!)],
    ],
    [
      'gatherRows',
      { x: f32([2, 4, 3], wave(24)), index: i64([2, 3], [3, 0, 3, 1, 1, 1]) },
      (g, { x, index }) => g.gatherRows(x!, index!),
    ],
    [
      'gatherRows of numbers and of matrices',
      { x: f32([2, 4], wave(8)), y: f32([2, 4, 2, 2], wave(32)), index: i64([2, 2], [3, 3, 0, 1]) },
      (g, { x, y, index }) => [g.gatherRows(x!, index!), g.gatherRows(y!, index!)],
    ],
    [
      'gatherElements and scatterAdd',
      {
        x: f32([3, 4], wave(12)),
        updates: f32([2, 4], wave(8, 3)),
        index: i64([2, 4], [0, 2, 1, 1, 0, 0, 1, 2]),
      },
      (g, { x, updates, index }) => [g.gatherElements(x!, index!, 0), g.scatterAdd(x!, index!, updates!, -2)],
    ],
    [
      'rotaryEmbedding',
      { x: f32([2, 3, 8], wave(48)), positions: i64([2, 3], [0, 1, 2, 5, 0, 3]) },
      (g, { x, positions }) =>
        g.rotaryEmbedding(x!, positions!, g.constant('cos', cos, [6, 2]), g.constant('sin', sin, [6, 2]), {
          heads: 2,
        }),
    ],
    [
      'crossEntropy',
      {
        x: f32(
          [2, 3, 5],
          wave(30).map((v) => 40 * v),
        ),
        targets: i64([2, 3, 1], [0, 4, 2, 2, 1, 3]),
      },
      (g, { x, targets }) => crossEntropy(g, x!, targets!),
    ],
  ];
  it.each(cases)('%s', async (_, feeds, define) => {
    expect(await gradientErrors({ feeds, define })).toEqual([]);
  });

  it('on named axes', async () => {
    const problem: Differentiable = {
      feeds: {
        table: f32([5, 4], wave(20)),
        gain: f32([4], positive(4)),
        ids: i64([2, 4], [0, 1, 2, 3, 3, 3, 4, 0]),
        index: i64([2, 3], [0, 0, 2, 3, 1, 3]),
        targets: i64([2, 3, 1], [0, 4, 2, 2, 1, 3]),
      },
      shapes: { ids: ['batch', 'position'], index: ['batch', 'query'], targets: ['batch', 'query', 1] },
      names: { batch: 2, position: 4, query: 3 },
      define: (g, { table, gain, ids, index, targets }) => {
        const picked = g.gatherRows(g.rmsNorm(g.gather(table!, ids!), gain!, 1e-2), index!);
        return crossEntropy(g, g.matMul(picked, table!, { transposeB: true, alpha: 2 }), targets!);
      },
    };
    expect(await gradientErrors(problem)).toEqual([]);
  });
});
