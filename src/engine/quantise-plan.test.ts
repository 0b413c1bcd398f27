import { describe, expect, it } from 'vitest';
import { namedShapes, type RandomShape } from '../../test/helpers/random-model.ts';
import type { BlockWeights, ModelWeights, Projection, WeightDtype, WeightSource } from '../model/weights.ts';
import { planQuantisation, SLICE_WEIGHTS } from './quantise-plan.ts';

/** Weights of a published shape that lie nowhere. */
function outlineWeights(shape: RandomShape, dtype: WeightDtype): ModelWeights<WeightSource> {
  const source = (name: string, ...axes: number[]): WeightSource => {
    const byteLength = axes.reduce((product, axis) => product * axis, dtype === 'F32' ? 4 : 2);
    return { name, dtype, shape: axes, file: '/nowhere', offset: 0, byteLength };
  };
  const { width, mlpWidth, vocabSize } = shape;
  const [queries, keys] = [shape.heads * shape.headSize, shape.kvHeads * shape.headSize];
  const shapes: Record<Projection, [number, number]> = {
    q_proj: [queries, width],
    k_proj: [keys, width],
    v_proj: [keys, width],
    o_proj: [width, queries],
    gate_proj: [mlpWidth, width],
    up_proj: [mlpWidth, width],
    down_proj: [width, mlpWidth],
  };
  const block = (layer: number): BlockWeights<WeightSource> => ({
    projections: Object.fromEntries(
      Object.entries(shapes).map(([name, axes]) => [
        name,
        { weight: source(`${layer}.${name}`, ...axes), bias: null },
      ]),
    ) as BlockWeights<WeightSource>['projections'],
    attentionNorm: source(`${layer}.norm`, width),
    mlpNorm: source(`${layer}.mlpNorm`, width),
    attentionOutNorm: null,
    mlpOutNorm: null,
    queryNorm: null,
    keyNorm: null,
  });
  const embedding = source('embedding', vocabSize, width);
  return {
    embedding,
    head: shape.tied ? embedding : source('head', vocabSize, width),
    finalNorm: source('norm', width),
    blocks: Array.from({ length: shape.layers }, (_, layer) => block(layer)),
  };
}

describe.each(Object.entries(namedShapes))('the plan of %s', (_, shape) => {
  it.each([
    ['BF16', 8, 128],
    ['F32', 4, 32],
  ] as const)(
    'in %s, %d bits, block %d, cuts into small slices that fill the file',
    (dtype, bits, blockSize) => {
      const { outline, slices } = planQuantisation(outlineWeights(shape, dtype), { bits, blockSize });
      for (const { rows, source } of slices) {
        // What bounds the memory of a thread, whatever the model's size.
        expect(rows * source.shape[1]!).toBeLessThanOrEqual(SLICE_WEIGHTS);
      }
      const spans = slices.flatMap(({ target }) => target).sort((a, b) => a.offset - b.offset);
      let at = outline.bytes.byteLength;
      for (const { offset, byteLength } of spans) {
        expect(offset).toBe(at);
        at += byteLength;
      }
      expect(at).toBe(outline.fileLength);
      // Every row of every matrix is in one slice, and the embedding is stored only where it is wide.
      const seen = new Map<string, number>();
      for (const { source, rows, firstRow, format } of slices) {
        const key = `${source.name} ${typeof format === 'string' ? format : 'quantised'}`;
        expect(firstRow).toBe(seen.get(key) ?? 0);
        seen.set(key, firstRow + rows);
      }
      expect(seen.size).toBe(7 * shape.layers + 1 + Number(dtype === 'F32'));
      expect(seen.get(`${shape.tied ? 'embedding' : 'head'} quantised`)).toBe(shape.vocabSize);
      expect(seen.get('embedding F16')).toBe(dtype === 'F32' ? shape.vocabSize : undefined);
    },
  );
});

it('takes a row at a time where one is longer than a slice', () => {
  const shape = {
    ...namedShapes.tiny,
    layers: 1,
    width: SLICE_WEIGHTS + 64,
    heads: 1,
    kvHeads: 1,
    mlpWidth: 2,
  };
  const { slices } = planQuantisation(outlineWeights(shape, 'BF16'), { bits: 8, blockSize: 32 });
  expect(slices.filter(({ source }) => source.name === '0.gate_proj').map(({ rows }) => rows)).toEqual([
    1, 1,
  ]);
});

/** The same as a GGUF file has it: matrices of Q8_0, and rows of q interleaved. */
function inGguf(weights: ModelWeights<WeightSource>): ModelWeights<WeightSource> {
  const blocks = (source: WeightSource): WeightSource => ({ ...source, dtype: 'Q8_0' });
  const embedding = blocks(weights.embedding);
  return {
    ...weights,
    embedding,
    head: weights.head === weights.embedding ? embedding : blocks(weights.head),
    blocks: weights.blocks.map((block) => ({
      ...block,
      projections: {
        ...block.projections,
        q_proj: { weight: { ...block.projections.q_proj.weight, interleavedHeads: 4 }, bias: null },
        down_proj: { weight: blocks(block.projections.down_proj.weight), bias: null },
      },
    })),
  };
}

it('keeps in plain numbers what the runtime cannot read in a GGUF file, and nothing else', () => {
  const shape = { ...namedShapes.tiny, layers: 1 };
  const kept = (weights: ModelWeights<WeightSource>, bits: 8 | null): string[] => {
    const { slices } = planQuantisation(weights, bits === null ? null : { bits, blockSize: 32 });
    return slices
      .filter(({ format }) => bits === null || typeof format === 'string')
      .map(({ source, format }) => `${source.name} ${typeof format === 'string' ? format : 'blocks'}`)
      .toSorted();
  };
  const plain = outlineWeights(shape, 'BF16');
  expect(kept(plain, null)).toEqual([]);
  expect(kept(plain, 8)).toEqual([]);
  expect(kept(inGguf(plain), null)).toEqual(['0.down_proj F32', '0.q_proj BF16', 'embedding F32']);
  expect(kept(inGguf(plain), 8)).toEqual(['embedding F16']);
});
