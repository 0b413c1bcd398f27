import { describe, expect, it } from 'vitest';
import type {
  AttentionRow,
  AttentionSettings,
  AttentionShape,
} from '../../../test/helpers/naive-attention.ts';
import { attendNaively, rotaryTable } from '../../../test/helpers/naive-attention.ts';
import type { LoadedGraph, Tensor } from '../../../test/helpers/run-graph.ts';
import { f32, i32, i64, loadGraph } from '../../../test/helpers/run-graph.ts';
import { randomStream } from '../../util/random.ts';
import type { Value } from '../index.ts';
import { GraphBuilder } from '../index.ts';

const context = 32;
const capacity = 24;
const rotaryBase = 10_000;
/** fp32 sums of a few dozen products of unit normals. */
const tolerance = 2e-6;

interface Variant extends AttentionShape, Omit<AttentionSettings, 'rotaryBase'> {
  readonly rotary: 'inside' | 'outside' | 'none';
  readonly packed?: boolean;
}

/** Rows of random queries, keys and values, longer than any test uses. */
function randomRows(count: number, { heads, kvHeads, headSize }: AttentionShape): readonly AttentionRow[] {
  const random = randomStream('attention', heads, kvHeads, headSize);
  const normals = (length: number): Float32Array => Float32Array.from({ length }, () => random.normal());
  return Array.from({ length: count }, () => ({
    query: normals(capacity * heads * headSize),
    key: normals(capacity * kvHeads * headSize),
    value: normals(capacity * kvHeads * headSize),
  }));
}

/** One attention op, its cache bound to inputs `pastKey` and `pastValue`. */
class Attention {
  readonly #variant: Variant;
  readonly #graph: LoadedGraph;
  readonly #cache: Readonly<Record<'pastKey' | 'pastValue', Tensor>>;

  private constructor(variant: Variant, graph: LoadedGraph, batch: number) {
    this.#variant = variant;
    this.#graph = graph;
    const dims = [batch, variant.kvHeads, capacity, variant.headSize];
    const empty = (): Tensor => f32(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)));
    this.#cache = { pastKey: empty(), pastValue: empty() };
  }

  static async load(variant: Variant, batch: number): Promise<Attention> {
    return new Attention(variant, await loadGraph(attentionGraph(variant)), batch);
  }

  /** Feeds positions `from` … `to` − 1 of each row, right-padded to the longest; returns `[batch, padded, width]`. */
  async step(rows: readonly AttentionRow[], ranges: readonly (readonly [number, number])[]): Promise<Tensor> {
    const { heads, kvHeads, headSize, packed, rotary } = this.#variant;
    const padded = Math.max(...ranges.map(([from, to]) => to - from));
    const part = (name: keyof AttentionRow, row: number, position: number): number[] => {
      const width = (name === 'query' ? heads : kvHeads) * headSize;
      const [from, to] = ranges[row]!;
      if (from + position >= to) return Array.from({ length: width }, () => 99);
      return Array.from({ length: width }, (_, i) => rows[row]![name][(from + position) * width + i]!);
    };
    const tensor = (...names: readonly (keyof AttentionRow)[]): Tensor => {
      const data = rows.flatMap((_, row) =>
        Array.from({ length: padded }, (_, at) => names.flatMap((name) => part(name, row, at))).flat(),
      );
      return f32([rows.length, padded, data.length / rows.length / padded], data);
    };
    const positions = ranges.flatMap(([from]) => Array.from({ length: padded }, (_, at) => from + at));
    const results = await this.#graph.run(
      {
        ...(packed === true
          ? { query: tensor('query', 'key', 'value') }
          : { query: tensor('query'), key: tensor('key'), value: tensor('value') }),
        ...(rotary === 'outside' && { positions: i64([rows.length, padded], positions) }),
        ...this.#cache,
        seqlens: i32(
          [rows.length],
          ranges.map(([, to]) => to - 1),
        ),
        total: i32([1], [Math.max(...ranges.map(([, to]) => to))]),
      },
      { presentKey: 'pastKey', presentValue: 'pastValue' },
    );
    return results['out']!;
  }
}

function attentionGraph(variant: Variant): ReturnType<GraphBuilder['build']> {
  const { heads, kvHeads, headSize, rotary, packed, window, scale, softcap } = variant;
  const g = new GraphBuilder('attention');
  const states = (name: string, count: number): Value =>
    g.input(name, 'f32', ['batch', 'position', count * headSize]);
  const table = rotary === 'none' ? null : rotaryTable(context, headSize, rotaryBase);
  const cos = table && g.constant('cos', table.cos, [context, headSize / 2]);
  const sin = table && g.constant('sin', table.sin, [context, headSize / 2]);
  let query = states('query', packed === true ? heads + 2 * kvHeads : heads);
  let key = packed === true ? null : states('key', kvHeads);
  const value = packed === true ? null : states('value', kvHeads);
  if (rotary === 'outside') {
    const positions = g.input('positions', 'i64', ['batch', 'position']);
    query = g.rotaryEmbedding(query, positions, cos!, sin!, { heads });
    key = g.rotaryEmbedding(key!, positions, cos!, sin!, { heads: kvHeads });
  }
  const cache = ['batch', kvHeads, 'capacity', headSize];
  const [out, presentKey, presentValue] = g.groupQueryAttention(
    query,
    key,
    value,
    g.input('pastKey', 'f32', cache),
    g.input('pastValue', 'f32', cache),
    g.input('seqlens', 'i32', ['batch']),
    g.input('total', 'i32', [1]),
    rotary === 'inside' ? cos : null,
    rotary === 'inside' ? sin : null,
    {
      heads,
      kvHeads,
      rotary: rotary === 'inside',
      ...(window !== undefined && { window }),
      ...(scale !== undefined && { scale }),
      ...(softcap !== undefined && { softcap }),
    },
  );
  g.output('out', out);
  g.output('presentKey', presentKey);
  g.output('presentValue', presentValue);
  return g.build();
}

/** Largest error of a step over the positions that are not padding. */
function errorOf(
  out: Tensor,
  rows: readonly AttentionRow[],
  ranges: readonly (readonly [number, number])[],
  variant: Variant,
): number {
  const [, padded, width] = out.dims as [number, number, number];
  const { window, scale, softcap } = variant;
  const settings: AttentionSettings = {
    ...(window !== undefined && { window }),
    ...(scale !== undefined && { scale }),
    ...(softcap !== undefined && { softcap }),
    ...(variant.rotary !== 'none' && { rotaryBase }),
  };
  let error = 0;
  ranges.forEach(([from, to], row) => {
    const expected = attendNaively(rows[row]!, to, variant, settings);
    for (let at = from * width; at < to * width; at++) {
      const got = Number(out.data[(row * padded - from) * width + at]);
      // Math.max keeps NaN, which no bound accepts.
      error = Math.max(error, Math.abs(got - expected[at]!));
    }
  });
  return error;
}

/** Largest error of a ragged first prompt and of two single positions a row after it, all in place. */
async function promptAndDecodeError(variant: Variant): Promise<number> {
  const rows = randomRows(3, variant);
  const attention = await Attention.load(variant, 3);
  let error = 0;
  for (const grown of [0, 1, 2]) {
    const ranges = [5, 12, 8].map((length): [number, number] => [
      grown === 0 ? 0 : length + grown - 1,
      length + grown,
    ]);
    error = Math.max(error, errorOf(await attention.step(rows, ranges), rows, ranges, variant));
  }
  return error;
}

const grouped: AttentionShape = { heads: 4, kvHeads: 2, headSize: 16 };

describe('groupQueryAttention against attention by hand: ragged first prompt, then decode in place', () => {
  it.each<[string, Variant]>([
    ['head size 16, rotated inside', { ...grouped, rotary: 'inside' }],
    ['packed queries, keys and values', { ...grouped, rotary: 'inside', packed: true }],
    ['packed, not rotated', { ...grouped, rotary: 'none', packed: true }],
    ['head size 8, rotated by rotaryEmbedding', { heads: 4, kvHeads: 2, headSize: 8, rotary: 'outside' }],
    ['one head of size 8', { heads: 1, kvHeads: 1, headSize: 8, rotary: 'outside' }],
    ['head size 24 without rotation', { heads: 3, kvHeads: 1, headSize: 24, rotary: 'none' }],
    ['as many key heads as heads, head size 32', { heads: 2, kvHeads: 2, headSize: 32, rotary: 'inside' }],
    ['scale and softcap', { ...grouped, rotary: 'inside', scale: 0.7, softcap: 3 }],
    ['a window of 4 positions, itself included', { ...grouped, rotary: 'inside', window: 4 }],
    ['a window of 1', { ...grouped, rotary: 'none', window: 1 }],
    ['a window longer than the rows', { ...grouped, rotary: 'inside', window: 20 }],
    [
      'window, scale and softcap, head size 8',
      { heads: 2, kvHeads: 1, headSize: 8, rotary: 'outside', window: 3, scale: 0.3, softcap: 5 },
    ],
  ])('%s', async (_, variant) => {
    expect(await promptAndDecodeError(variant)).toBeLessThan(tolerance);
  });
});

describe('groupQueryAttention over a cache, batch 1', () => {
  it.each<[string, Variant]>([
    ['without a window', { ...grouped, rotary: 'inside' }],
    ['with a window', { ...grouped, rotary: 'inside', window: 4 }],
    ['rotated outside', { heads: 4, kvHeads: 2, headSize: 8, rotary: 'outside' }],
  ])('takes several new positions behind cached ones, %s', async (_, variant) => {
    const rows = randomRows(1, variant);
    const attention = await Attention.load(variant, 1);
    for (const range of [
      [0, 7],
      [7, 12],
      [12, 13],
      [13, 20],
    ] as const) {
      const out = await attention.step(rows, [range]);
      expect(errorOf(out, rows, [range], variant)).toBeLessThan(tolerance);
    }
  });

  it('the runtime refuses several new positions behind cached ones in a batch of 2', async () => {
    const variant: Variant = { ...grouped, rotary: 'inside' };
    const rows = randomRows(2, variant);
    const attention = await Attention.load(variant, 2);
    await attention.step(rows, [
      [0, 4],
      [0, 4],
    ]);
    await expect(
      attention.step(rows, [
        [4, 6],
        [4, 6],
      ]),
    ).rejects.toThrow('GroupQueryAttention');
  });

  it('a window one off is far outside the tolerance, so the tests above can tell', async () => {
    const variant: Variant = { ...grouped, rotary: 'none', window: 4 };
    const rows = randomRows(1, variant);
    const out = await (await Attention.load(variant, 1)).step(rows, [[0, 12]]);
    for (const window of [3, 5])
      expect(errorOf(out, rows, [[0, 12]], { ...variant, window })).toBeGreaterThan(0.1);
  });
});
