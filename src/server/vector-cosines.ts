import { cosineMatrix } from '../apps/compare-vectors.ts';
import { PersonaVector } from '../persona/vector.ts';
import { HttpFailure } from './failure.ts';
import type { VectorCosines } from './vectors-api.ts';

/** A vector's shape and what it recommends: what is known of it before a layer is chosen. */
export interface Comparable {
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  readonly recommended_layer: number | null;
}

/** Vectors that are compared at once: each with each, so twice as many are four times the work. */
const mostCompared = 100;

/**
 * Cosines of all vectors of one shape with each other at one layer. One vector at a time is in memory, and of the others the
 * row of that layer.
 *
 * @param load Reads one of them by its name, once; null for one that cannot be read, which is passed over.
 * @throws HttpFailure 400 for a layer that none of them has.
 */
export async function compareAll(
  vectors: readonly Comparable[],
  load: (name: string) => Promise<PersonaVector | null>,
  asked?: number,
): Promise<VectorCosines> {
  const layers = Math.max(0, ...vectors.map((one) => one.layers));
  const layer = asked ?? defaultLayer(vectors, layers);
  if (layer > layers && vectors.length > 0)
    throw new HttpFailure(400, `expected a layer from 0 to ${layers}, got ${layer}`, { param: 'layer' });
  const compared = vectors.slice(0, mostCompared).filter((one) => one.layers >= layer);
  const groups = new Map<string, { layers: number; width: number; rows: [string, PersonaVector][] }>();
  for (const { name } of compared) {
    const vector = await load(name);
    // What its file says before its numbers may have changed since.
    if (vector === null || vector.layers < layer) continue;
    const shape = `${vector.layers} ${vector.width}`;
    const group = groups.get(shape) ?? { layers: vector.layers, width: vector.width, rows: [] };
    const row = new PersonaVector(0, vector.width, vector.row(layer).slice(), vector.metadata);
    group.rows.push([name, row]);
    groups.set(shape, group);
  }
  return {
    layer,
    layers,
    groups: [...groups.values()].map(({ rows, ...shape }) => ({
      ...shape,
      names: rows.map(([name]) => name),
      cosines: cosineMatrix(
        rows.map(([, row]) => row),
        0,
      ),
    })),
    left_out: vectors.filter((one) => !compared.includes(one)).map(({ name }) => name),
  };
}

function defaultLayer(vectors: readonly Comparable[], layers: number): number {
  return vectors.find((one) => one.recommended_layer !== null)?.recommended_layer ?? Math.ceil(layers / 2);
}
