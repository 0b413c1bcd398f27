/** Projections that a family keeps in one matrix are trained apart, and put together again where they are saved. */

import { adapterTensorName } from '../model/adapter.ts';
import type { ModelConfig } from '../model/config.ts';
import { projectionRows, projectionShapes } from '../model/locate-weights.ts';
import { type ModelWeights, type Projection, projections, type WeightSource } from '../model/weights.ts';
import type { NamedTensor } from './types.ts';

/** The two matrices beside one product, `a` `[rank, in]` and `b` `[out, rank]`. */
export interface AdaptedProduct {
  readonly block: number;
  readonly projection: Projection;
  readonly a: NamedTensor;
  readonly b: NamedTensor;
}

/** An adapter's tensors as its files have them, and by how much the rank of a module grew on the way. */
export interface FusedAdapter {
  readonly tensors: readonly NamedTensor[];
  /** Last part of a module's path → how many products it holds side by side; modules of one are left out. */
  readonly products: ReadonlyMap<string, number>;
}

/**
 * Pairs of one matrix become one pair of `n` times the rank: their A one below the other, their B on a diagonal, which adds the
 * same to every row.
 */
export function fuseAdapter(config: ModelConfig, pairs: readonly AdaptedProduct[]): FusedAdapter {
  const groups = groupByName(config, pairs);
  const products = new Map<string, number>();
  const tensors = [...groups.values()].flatMap((group): NamedTensor[] => {
    const [first] = group as [AdaptedProduct, ...AdaptedProduct[]];
    const { parts, rows } = projectionRows(config, first.projection);
    if (parts.length === 1) return [first.a, first.b];
    products.set(moduleName(config, first), group.length);
    return [stackedA(config, group), diagonalB(config, group, rows)];
  });
  return { tensors, products };
}

function groupByName(config: ModelConfig, pairs: readonly AdaptedProduct[]): Map<string, AdaptedProduct[]> {
  const groups = new Map<string, AdaptedProduct[]>();
  for (const pair of pairs) {
    const name = adapterTensorName(config, pair.block, pair.projection, 'A');
    groups.set(name, [...(groups.get(name) ?? []), pair]);
  }
  return groups;
}

/** Last part of the path of a pair's module, as `target_modules` names it. */
export function moduleName(
  config: ModelConfig,
  { block, projection }: Pick<AdaptedProduct, 'block' | 'projection'>,
): string {
  return adapterTensorName(config, block, projection, 'A').split('.').at(-3)!;
}

function stackedA(config: ModelConfig, group: readonly AdaptedProduct[]): NamedTensor {
  const { block, projection, a } = group[0]!;
  const [rank, input] = a.shape as readonly [number, number];
  const data = new Float32Array(group.length * rank * input);
  group.forEach((pair, i) => data.set(pair.a.data, i * rank * input));
  return {
    name: adapterTensorName(config, block, projection, 'A'),
    shape: [group.length * rank, input],
    data,
  };
}

function diagonalB(config: ModelConfig, group: readonly AdaptedProduct[], rows: number): NamedTensor {
  const { block, projection, a } = group[0]!;
  const rank = a.shape[0]!;
  const width = group.length * rank;
  const data = new Float32Array(rows * width);
  group.forEach((pair, i) => {
    const { firstRow } = projectionRows(config, pair.projection);
    for (let row = 0; row < pair.b.shape[0]!; row++)
      data.set(pair.b.data.subarray(row * rank, (row + 1) * rank), (firstRow + row) * width + i * rank);
  });
  return { name: adapterTensorName(config, block, projection, 'B'), shape: [rows, width], data };
}

/** Weights under the names of the checkpoint's own tensors; rows of one tensor are put back into it. */
export function fuseWeights(
  config: ModelConfig,
  weights: ModelWeights<WeightSource>,
  tensors: readonly NamedTensor[],
): NamedTensor[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  for (const block of weights.blocks) {
    for (const projection of projections) {
      const { parts, rows } = projectionRows(config, projection);
      if (parts[0] !== projection || parts.length === 1) continue;
      const names = parts.map((part) => block.projections[part].weight.name);
      const input = projectionShapes(config)[projection][1];
      const data = new Float32Array(rows * input);
      for (const [i, part] of parts.entries())
        data.set(byName.get(names[i]!)!.data, projectionRows(config, part).firstRow * input);
      for (const name of names) byName.delete(name);
      const name = storedName(config, block.projections[projection].weight, projection);
      byName.set(name, { name, shape: [rows, input], data });
    }
  }
  return [...byName.values()];
}

/** The tensor of the checkpoint that a projection's matrix lies in. */
export function storedName(config: ModelConfig, { name }: WeightSource, projection: Projection): string {
  return projectionRows(config, projection).parts.length === 1 ? name : name.slice(0, -projection.length - 1);
}
