import type { Graph, Value } from '../../src/graph/index.ts';
import { GraphBuilder } from '../../src/graph/index.ts';

/** One block of a tiny transformer, with every kind of input, initialiser and node: for snapshots and writers. */
export function smallBlock(): Graph {
  const width = 32;
  const g = new GraphBuilder('small block');
  const ids = g.input('ids', 'i64', ['batch', 'position']);
  const seqlens = g.input('seqlens', 'i32', ['batch']);
  const total = g.input('total', 'i32', [1]);
  let offset = 128;
  const weight = (name: string, shape: readonly number[]): Value => {
    const byteLength = 2 * shape.reduce((product, dim) => product * dim, 1);
    const source = { file: '/models/tiny/model.safetensors', offset, byteLength };
    offset += byteLength;
    return g.external(name, 'bf16', shape, source);
  };
  const float = (name: string, shape: readonly number[]): Value => g.cast(weight(name, shape), 'f32');
  const linear = (x: Value, name: string, out: number, input: number): Value =>
    g.matMul(x, float(`${name}.weight`, [out, input]), { transposeB: true }, name);
  const embeddings = g.cast(g.gather(weight('embedding', [100, width]), ids), 'f32', 'embeddings');
  const hidden = g.scope('block.0', () => {
    const gain = g.constant('gain', new Float32Array(width).fill(1), [width]);
    const normed = g.rmsNorm(embeddings, gain, 1e-6);
    const cache = ['batch', 1, 'capacity', 16];
    const [mixed, presentKey, presentValue] = g.scope('attention', () =>
      g.groupQueryAttention(
        linear(normed, 'qkv', 4 * 16, width),
        null,
        null,
        g.input('past.key', 'f32', cache),
        g.input('past.value', 'f32', cache),
        seqlens,
        total,
        null,
        null,
        { heads: 2, kvHeads: 1, rotary: false, window: 8 },
        'mix',
      ),
    );
    g.output('present.key', presentKey);
    g.output('present.value', presentValue);
    const [mlpInput, afterAttention] = g.addRmsNorm(embeddings, linear(mixed, 'out', width, 32), gain, 1e-6);
    const [gate, up] = g.split(linear(mlpInput, 'gate_up', 128, width), -1, [64, 64], 'parts');
    return g.add(afterAttention, linear(g.mul(g.silu(gate!), up!), 'down', width, 64));
  });
  const pool = g.input('pool', 'f32', ['batch', 'reading', 'position']);
  const taps = [embeddings, hidden].map((layer) => g.unsqueeze(g.matMul(pool, layer), [2]));
  g.output('taps', g.concat(taps, 2));
  return g.build();
}
