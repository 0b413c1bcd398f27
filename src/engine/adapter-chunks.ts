import type { Adapter, LoraPair } from '../model/adapter.ts';
import type { Projection } from '../model/weights.ts';
import { narrow, productFactor } from './transformer.ts';

/** A LoRA pair cut along its rank, the last chunk filled up with zeros. */
export interface LoraChunks {
  readonly count: number;
  /** `[count, 1, narrow, in]`. */
  readonly a: Float32Array;
  /** `[count, 1, out, narrow]`, with the factors that the graph's two products take away multiplied in. */
  readonly b: Float32Array;
}

type AdapterChunks = readonly Readonly<Partial<Record<Projection, LoraChunks>>>[];

/** Adapters do not change, and a call feeds the same one in every step. */
const known = new WeakMap<Adapter, AdapterChunks>();

/**
 * What stands for a projection `[out, in]` without LoRA: one chunk of zeros, because the runtime does not broadcast
 * over an axis of length 0.
 */
export function neutralChunk(out: number, input: number): LoraChunks {
  return { count: 1, a: zeros(narrow * input), b: zeros(out * narrow) };
}

const zerosBySize = new Map<number, Float32Array>();
function zeros(size: number): Float32Array {
  const found = zerosBySize.get(size) ?? new Float32Array(size);
  zerosBySize.set(size, found);
  return found;
}

/** An adapter as the graph takes it, cut once; a projection of rank 0 is absent. */
export function adapterChunks(adapter: Adapter): AdapterChunks {
  const found = known.get(adapter);
  if (found !== undefined) return found;
  const chunks = adapter.blocks.map(
    (block) =>
      Object.fromEntries(
        Object.entries(block)
          .filter(([, pair]) => pair.rank > 0)
          .map(([projection, pair]) => [projection, cut(pair)]),
      ) as Partial<Record<Projection, LoraChunks>>,
  );
  known.set(adapter, chunks);
  return chunks;
}

function cut(pair: LoraPair): LoraChunks {
  const { rank } = pair;
  const count = Math.ceil(rank / narrow);
  const input = pair.a.length / rank;
  const out = pair.b.length / rank;
  const a = new Float32Array(count * narrow * input);
  a.set(pair.a);
  const b = new Float32Array(count * out * narrow);
  for (let chunk = 0; chunk < count; chunk++) {
    const width = Math.min(narrow, rank - chunk * narrow);
    for (let row = 0; row < out; row++) {
      for (let i = 0; i < width; i++) {
        const value = pair.b[row * rank + chunk * narrow + i] as number;
        b[(chunk * out + row) * narrow + i] = value / productFactor ** 2;
      }
    }
  }
  return { count, a, b };
}
