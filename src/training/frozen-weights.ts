import { Tensor } from 'onnxruntime-node';
import { isQuantised, type QuantisedOrPlainSource } from '../engine/quantised-weights.ts';
import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../graph/types.ts';
import { readWeight } from '../model/read-weights.ts';
import { type ModelWeights, type PlainSource, projections } from '../model/weights.ts';

/**
 * Weights that are not trained and that products read as f32, but that lie in their files in 16 bits. Widened once and
 * given to every session: as initialisers, each session would widen them for itself. All other frozen weights stay
 * in their files.
 */
export class FrozenWeights {
  private readonly tensors: ReadonlyMap<string, Tensor>;

  private constructor(tensors: ReadonlyMap<string, Tensor>) {
    this.tensors = tensors;
  }

  static async load(weights: ModelWeights<QuantisedOrPlainSource>): Promise<FrozenWeights> {
    const tensors = new Map<string, Tensor>();
    for (const source of narrowMatrices(weights)) {
      tensors.set(source.name, new Tensor('float32', await readWeight(source), source.shape));
    }
    return new FrozenWeights(tensors);
  }

  static none(): FrozenWeights {
    return new FrozenWeights(new Map());
  }

  /** Graph inputs by tensor name. */
  inputs(g: GraphBuilder): Map<string, Value> {
    return new Map(
      [...this.tensors].map(([name, { dims }]) => [name, g.input(frozenInput(name), 'f32', dims)]),
    );
  }

  feeds(): Record<string, Tensor> {
    return Object.fromEntries([...this.tensors].map(([name, tensor]) => [frozenInput(name), tensor]));
  }
}

function frozenInput(name: string): string {
  return `frozen/${name}`;
}

/** The embedding is looked up row by row and needs no widening, unless it is the head too. */
function narrowMatrices(weights: ModelWeights<QuantisedOrPlainSource>): PlainSource[] {
  const matrices = [
    weights.head,
    ...weights.blocks.flatMap((block) => projections.map((name) => block.projections[name].weight)),
  ];
  return matrices.filter((source): source is PlainSource => !isQuantised(source) && source.dtype !== 'F32');
}
