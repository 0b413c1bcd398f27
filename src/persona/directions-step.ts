import type { Directions } from '../store/result-schema.ts';
import type { RolloutStore } from '../store/rollout-store.ts';
import {
  type Direction,
  type DirectionKind,
  type Rows,
  cosinesByLayer,
  pcaDirection,
  probeDirection,
} from './directions.ts';
import type { KeptRows } from './extract-vector.ts';

/** What the comparison needs of a run. */
export interface DirectionsInput {
  readonly kinds: readonly DirectionKind[];
  readonly pooling: string;
  readonly rows: KeptRows;
  /** Whether the i-th positive and the i-th negative row are partners. */
  readonly paired: boolean;
  /** Difference of means, `[L+1, width]`. */
  readonly vector: Float32Array;
  readonly width: number;
  readonly read: RolloutStore['record'];
}

/** Tensors beside the vector's own, and what is known of them. */
export interface OtherDirections {
  /** `[L+1, width]` each, named after the pooling and the kind, such as `response_mean.pca`. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly summary: Directions;
}

/** Finds the other directions at every layer, in memory of one layer of the kept activations, and compares them. */
export async function findDirections(input: DirectionsInput): Promise<OtherDirections> {
  const { kinds, pooling, vector, width } = input;
  const layers = vector.length / width;
  const found = new Map(kinds.map((kind) => [kind, [] as Direction[]]));
  for (let layer = 0; layer < layers; layer++) {
    const [positive, negative] = [await readLayer(input, 'pos', layer), await readLayer(input, 'neg', layer)];
    const means = Float64Array.from(vector.subarray(layer * width, (layer + 1) * width));
    for (const kind of kinds) {
      const direction =
        kind === 'pca'
          ? pcaDirection(positive, negative, input.paired, means)
          : probeDirection(positive, negative, means);
      found.get(kind)!.push(direction);
    }
  }
  const tensors = new Map([...found].map(([kind, list]) => [`${pooling}.${kind}`, join(list, width)]));
  const summary = kinds.map((kind) => {
    const list = found.get(kind)!;
    return {
      kind,
      tensor: `${pooling}.${kind}`,
      cosines: cosinesByLayer(tensors.get(`${pooling}.${kind}`)!, vector, width),
      quality: list.map(({ quality }) => quality),
      converged: list.map(({ converged }) => converged),
    };
  });
  return { tensors, summary: { pooling, paired: input.paired, directions: summary } };
}

async function readLayer(
  { rows, pooling, width, read }: DirectionsInput,
  pole: 'pos' | 'neg',
  layer: number,
): Promise<Rows> {
  const data = new Float32Array(rows[pole].length * width);
  for (const [i, row] of rows[pole].entries()) {
    data.set(await read(pooling, row, { from: layer * width, length: width }), i * width);
  }
  return { data, count: rows[pole].length, width };
}

function join(directions: readonly Direction[], width: number): Float32Array {
  const tensor = new Float32Array(directions.length * width);
  for (const [layer, { vector }] of directions.entries()) tensor.set(vector, layer * width);
  return tensor;
}
