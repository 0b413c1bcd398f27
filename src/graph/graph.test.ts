import { describe, expect, it } from 'vitest';
import { GraphError } from '../errors.ts';
import type { Value } from './index.ts';
import { GraphBuilder } from './index.ts';

const builder = (): { g: GraphBuilder; x: Value } => {
  const g = new GraphBuilder('test');
  return { g, x: g.input('x', 'f32', ['batch', 4]) };
};

describe('names', () => {
  it('nest in scopes, count up where the op gives them, and leave the scope after an error', () => {
    const { g, x } = builder();
    const inner = g.scope('block.3', () => g.scope('attention', () => g.neg(x, 'query')));
    expect(inner.name).toBe('block.3/attention/query');
    expect(g.scope('block.3', () => [g.exp(x).name, g.exp(x).name, g.exp(x).name])).toEqual([
      'block.3/exp',
      'block.3/exp_2',
      'block.3/exp_3',
    ]);
    const fail = (): Value =>
      g.scope('broken', () => {
        throw new Error('inside');
      });
    expect(fail).toThrow('inside');
    expect(g.neg(x, 'after').name).toBe('after');
    expect(g.scope('block.3', () => g.input('past', 'f32', [1])).name).toBe('block.3/past');
    expect(g.scope('block.3', () => g.constant('one', Float32Array.of(1), [])).name).toBe('block.3/one');
  });

  it('are given once', () => {
    const { g, x } = builder();
    g.neg(x, 'negative');
    const message = 'Graph test: expected a new name, got negative, which is taken; name each value once.';
    expect(() => g.exp(x, 'negative')).toThrow(message);
    expect(() => g.input('x', 'f32', [2])).toThrow('got x, which is taken');
    expect(() => g.input('', 'f32', [2])).toThrow('expected a name that is not empty');
  });

  it('of several results say which one each is', () => {
    const { g, x } = builder();
    expect(g.split(x, 1, [1, 3], 'part').map((value) => value.name)).toEqual(['part.0', 'part.1']);
    expect(g.split(x, 1, [1, 3]).map((value) => value.name)).toEqual(['split.0', 'split.1']);
    expect(g.split(x, 1, [1, 3]).map((value) => value.name)).toEqual(['split.0_2', 'split.1_2']);
    const gain = g.constant('gain', new Float32Array(4), [4]);
    expect(g.addRmsNorm(x, x, gain, 1e-6, 'norm').map((value) => value.name)).toEqual([
      'norm.normed',
      'norm.sum',
    ]);
  });
});

describe('outputs', () => {
  it('take their name within the scope; ids stay', () => {
    const { g, x } = builder();
    const y = g.neg(x);
    g.scope('block.0', () => g.output('present', y));
    const graph = g.build();
    expect(graph.outputs).toEqual([{ id: y.id, name: 'block.0/present', type: y.type }]);
    expect(graph.nodes[0]!.outputs[0]!.name).toBe('block.0/present');
  });

  it('may keep the name that they have', () => {
    const { g, x } = builder();
    g.output('y', g.neg(x, 'y'));
    expect(g.build().outputs.map((value) => value.name)).toEqual(['y']);
  });

  it('that are inputs, initialisers or outputs already pass through an identity', () => {
    const { g, x } = builder();
    const y = g.neg(x);
    g.output('input', x);
    g.output('constant', g.constant('one', Float32Array.of(1), []));
    g.output('first', y);
    g.output('second', y);
    const graph = g.build();
    expect(graph.nodes.map((node) => node.op)).toEqual(['neg', 'identity', 'identity', 'identity']);
    expect(graph.outputs.map((value) => value.name)).toEqual(['input', 'constant', 'first', 'second']);
  });
});

describe('constants', () => {
  it('are shared when small and equal in type, shape and bytes', () => {
    const { g } = builder();
    const one = g.constant('one', Float32Array.of(1, 2), [2]);
    expect(g.constant('again', Float32Array.of(1, 2), [2])).toBe(one);
    expect(g.constant('other shape', Float32Array.of(1, 2), [1, 2])).not.toBe(one);
    expect(g.constant('other numbers', Float32Array.of(1, 3), [2])).not.toBe(one);
    expect(g.constant('zero', Float32Array.of(0), [1])).not.toBe(
      g.constant('minus zero', Float32Array.of(-0), [1]),
    );
    const i32 = g.constant('i32', Int32Array.of(1, 0), [2]);
    expect(g.constant('i64', BigInt64Array.of(1n), [1])).not.toBe(i32);
    const large = new Float32Array(100_000);
    expect(g.constant('large', large, [100_000])).not.toBe(g.constant('large 2', large, [100_000]));
  });

  it('keep their numbers when the caller reuses the array', () => {
    const { g } = builder();
    const data = Float32Array.of(1, 2);
    g.output('y', g.neg(g.constant('c', data, [2])));
    data.fill(0);
    expect(g.build().initializers[0]).toMatchObject({ data: Float32Array.of(1, 2) });
  });

  it('hold as many numbers as their shape', () => {
    const { g } = builder();
    expect(() => g.constant('c', Float32Array.of(1, 2), [3])).toThrow(
      'constant c: expected as many numbers as f32[3] holds, got 2 numbers.',
    );
    expect(() => g.constant('c', Float32Array.of(1, 2), [-1, -2])).toThrow(
      'constant c: expected axes that are names or whole numbers ≥ 0, got [-1, -2].',
    );
  });
});

describe('external tensors', () => {
  it.each([
    [{ byteLength: 23 }, 'external w: f32[2, 3] expected 24 bytes, got 23.'],
    [{ offset: -1 }, 'external w: f32[2, 3] expected an offset ≥ 0 in whole bytes, got -1.'],
    [{ offset: 0.5 }, 'expected an offset ≥ 0 in whole bytes, got 0.5.'],
    [{ file: 'w.bin' }, 'external w: f32[2, 3] expected an absolute path, got "w.bin".'],
  ])('refuse %o', (changed, message) => {
    const { g } = builder();
    const source = { file: '/m/w.bin', offset: 7, byteLength: 24, ...changed };
    expect(() => g.external('w', 'f32', [2, 3], source)).toThrow(message);
  });
});

describe('building', () => {
  it('refuses what leads to no output, unless told to accept it', () => {
    const { g, x } = builder();
    g.output('y', g.neg(x));
    g.exp(g.tanh(x));
    expect(() => g.build()).toThrow(GraphError);
    expect(() => g.build()).toThrow('got %3 exp: f32[batch, 4] = exp(%2).');
    expect(g.build({ allowUnused: true }).nodes).toHaveLength(3);
  });

  it('gives a graph that later building does not change', () => {
    const { g, x } = builder();
    g.output('y', g.neg(x));
    const first = g.build();
    g.output('z', g.exp(x));
    expect(first.nodes).toHaveLength(1);
    expect(g.build().nodes).toHaveLength(2);
    const unnamed = g.tanh(x);
    const second = g.build({ allowUnused: true });
    g.output('t', unnamed);
    expect(second.nodes.at(-1)!.outputs[0]!.name).toBe('tanh');
    expect(g.build().outputs.map((value) => value.name)).toEqual(['y', 'z', 't']);
  });

  it('refuses values of another graph', () => {
    const { g } = builder();
    const other = builder();
    expect(() => g.neg(other.x)).toThrow('neg: expected a value of graph test, got x of another graph.');
    expect(() => g.output('y', other.g.neg(other.x))).toThrow('output: expected a value of graph test');
  });

  it('copies shapes and attributes that the caller may change later', () => {
    const { g, x } = builder();
    const shape = ['batch', 2, 2];
    const y = g.reshape(x, shape);
    shape[1] = 99;
    expect(y.type.shape).toEqual(['batch', 2, 2]);
    g.output('y', y);
    expect(g.build().nodes[0]!.attributes).toEqual({ shape: ['batch', 2, 2] });
  });

  it('names op, inputs, expected and got in refusals', () => {
    const { g, x } = builder();
    const w = g.input('w', 'f32', [5, 3]);
    expect(() => g.matMul(x, w)).toThrow(
      'matMul(%0 x: f32[batch, 4], %1 w: f32[5, 3]): expected one inner length of a and b, got 4 and 5.',
    );
  });
});
