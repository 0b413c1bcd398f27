import { readWeight } from '../../src/model/read-weights.ts';
import {
  type BlockWeights,
  type LinearWeights,
  type ModelWeights,
  type Projection,
  projections,
  type WeightSource,
} from '../../src/model/weights.ts';

/** Every weight of a tiny model as numbers, for the reference forward. */
export async function readAllWeights(
  weights: ModelWeights<WeightSource>,
): Promise<ModelWeights<Float32Array>> {
  const embedding = await readWeight(weights.embedding);
  return {
    embedding,
    head: weights.head === weights.embedding ? embedding : await readWeight(weights.head),
    finalNorm: await readWeight(weights.finalNorm),
    blocks: await Promise.all(weights.blocks.map(readBlock)),
  };
}

async function readBlock(block: BlockWeights<WeightSource>): Promise<BlockWeights<Float32Array>> {
  const optional = (source: WeightSource | null): Promise<Float32Array | null> =>
    source === null ? Promise.resolve(null) : readWeight(source);
  const linear = async (name: Projection): Promise<[Projection, LinearWeights<Float32Array>]> => {
    const { weight, bias } = block.projections[name];
    return [name, { weight: await readWeight(weight), bias: await optional(bias) }];
  };
  const linears = Object.fromEntries(await Promise.all(projections.map(linear)));
  return {
    projections: linears as Record<Projection, LinearWeights<Float32Array>>,
    attentionNorm: await optional(block.attentionNorm),
    mlpNorm: await optional(block.mlpNorm),
    attentionOutNorm: await optional(block.attentionOutNorm),
    mlpOutNorm: await optional(block.mlpOutNorm),
    queryNorm: await optional(block.queryNorm),
    keyNorm: await optional(block.keyNorm),
  };
}
