import { Tensor } from 'onnxruntime-node';
import { UsageError } from '../errors.ts';
import { GraphBuilder } from '../graph/graph.ts';
import type { ModelConfig } from '../model/config.ts';
import { randomStream } from '../util/random.ts';
import type { Device } from './device-name.ts';
import { floatData, openSession, runSession } from './session.ts';

/** Positions up to which every driver takes the plain kernel. */
export const PLAIN_POSITIONS = 30;
/** Of the check: beyond that, and no multiple of a tile. */
const POSITIONS = 44;
/** Of the largest value; rounding alone is below 1e-5, and a wrong kernel above 0.01. */
const TOLERANCE = 1e-3;

type Heads = Pick<ModelConfig, 'heads' | 'kvHeads' | 'headSize'>;

/**
 * Tries a device's attention over more than 30 positions, which has kernels of its own from there on that some drivers compute wrongly
 * (seen with SwiftShader, whose subgroups are of four), against the processor's.
 *
 * @throws UsageError where the numbers are others, saying what to do.
 */
export async function checkAttention(device: Device, heads: Heads): Promise<void> {
  for (const positions of [POSITIONS, 1]) {
    const [ours, theirs] = [await attend(device, heads, positions), await attend('cpu', heads, positions)];
    const largest = theirs.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    if (theirs.every((x, i) => Math.abs(x - ours[i]!) <= TOLERANCE * largest)) continue;
    throw new UsageError(
      `Expected the device ${device} to compute attention over more than ${PLAIN_POSITIONS} positions as the processor does, got other numbers from its driver; choose the device cpu or another driver, or keep to rows of ${PLAIN_POSITIONS} tokens.`,
      { details: { device, positions } },
    );
  }
}

/** `[1, positions, heads · headSize]`: the last positions of `POSITIONS`, the others in the cache. */
async function attend(device: Device, heads: Heads, positions: number): Promise<Float32Array> {
  const { kvHeads, headSize } = heads;
  const session = await openSession(attentionGraph(heads), { threads: 1, packed: false, device });
  try {
    const random = (name: string, shape: readonly number[]): Tensor => {
      const stream = randomStream('attention', name);
      const size = shape.reduce((product, axis) => product * axis, 1);
      return new Tensor(
        'float32',
        Float32Array.from({ length: size }, () => stream.normal()),
        shape,
      );
    };
    const past = [1, kvHeads, POSITIONS, headSize];
    const results = await runSession(
      session,
      {
        query: random('query', [1, positions, heads.heads * headSize]),
        key: random('key', [1, positions, kvHeads * headSize]),
        value: random('value', [1, positions, kvHeads * headSize]),
        pastKey: random('past key', past),
        pastValue: random('past value', past),
        seqlens: new Tensor('int32', Int32Array.of(POSITIONS - 1), [1]),
        total: new Tensor('int32', Int32Array.of(POSITIONS), [1]),
      },
      { out: null },
    );
    return floatData(results['out']).slice();
  } finally {
    await session.release();
  }
}

function attentionGraph({ heads, kvHeads, headSize }: Heads): ReturnType<GraphBuilder['build']> {
  const g = new GraphBuilder('attention');
  const past = ['batch', kvHeads, 'capacity', headSize] as const;
  const [out, key, value] = g.groupQueryAttention(
    g.input('query', 'f32', ['batch', 'position', heads * headSize]),
    g.input('key', 'f32', ['batch', 'position', kvHeads * headSize]),
    g.input('value', 'f32', ['batch', 'position', kvHeads * headSize]),
    g.input('pastKey', 'f32', past),
    g.input('pastValue', 'f32', past),
    g.input('seqlens', 'i32', ['batch']),
    g.input('total', 'i32', [1]),
    null,
    null,
    { heads, kvHeads, rotary: false },
  );
  g.output('out', out);
  g.output('presentKey', key);
  g.output('presentValue', value);
  return g.build();
}
