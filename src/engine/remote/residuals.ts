/** Residual streams that come over the network, layer by layer, and what is kept of them. */

import type { InterventionPlan } from '../interventions.ts';
import type { TokenPlace } from '../positions.ts';
import type { Pooling, Probe } from '../types.ts';
import { dot } from '../../util/vectors.ts';

/** Residual streams of some layers. */
export interface Residuals {
  /** `[tokens, width]` of one of the layers that were asked for. */
  layer(layer: number): Float32Array;
}

/** What is to be kept of a row's residual streams. */
export interface Reading {
  /** By pooling the positions that it takes in; none of the lists is empty. */
  readonly pool: ReadonlyMap<Pooling, readonly number[]>;
  readonly probes: readonly Probe[];
  /** Whether all of every token are kept. */
  readonly tokens: boolean;
}

/** A row to read. */
export interface ReadRow {
  readonly places: readonly TokenPlace[];
  readonly plan: InterventionPlan;
}

export interface Read {
  /** `[L+1, width]`; row 0, which no server gives, is zero. */
  readonly pooled: Partial<Record<Pooling, Float32Array>>;
  /** `[tokens, probes]`. */
  readonly projections: Float32Array;
  /** `[tokens, L+1, width]`, row 0 zero; empty where it is not kept. */
  readonly tokens: Float32Array;
}

/** Layers of which something is kept, ascending. */
export function layersOf({ pool, probes, tokens }: Reading, layers: number): number[] {
  if (pool.size > 0 || tokens) return Array.from({ length: layers }, (_, i) => i + 1);
  return [...new Set(probes.map((probe) => probe.layer))].sort((a, b) => a - b);
}

/** Keeps what is wanted of layers as they come, in any order. */
export class ResidualReader {
  readonly #reading: Reading;
  readonly #width: number;
  readonly #layers: number;
  readonly #count: number;
  readonly #norms: readonly number[];
  readonly #read: Read;

  constructor(reading: Reading, count: number, { layers, width }: { layers: number; width: number }) {
    this.#reading = reading;
    this.#width = width;
    this.#layers = layers;
    this.#count = count;
    this.#norms = reading.probes.map(({ vector }) => Math.sqrt(dot(vector, vector)));
    const state = (layers + 1) * width;
    this.#read = {
      pooled: Object.fromEntries([...reading.pool.keys()].map((name) => [name, new Float32Array(state)])),
      projections: new Float32Array(count * reading.probes.length),
      tokens: new Float32Array(reading.tokens ? count * state : 0),
    };
  }

  /** @param values `[tokens, width]` of `layer`. */
  add(layer: number, values: Float32Array): void {
    const width = this.#width;
    const { pooled, projections, tokens } = this.#read;
    for (const [name, positions] of this.#reading.pool)
      pooled[name]!.set(meanOf(values, positions, width), layer * width);
    this.#reading.probes.forEach((probe, p) => {
      if (probe.layer !== layer) return;
      for (let i = 0; i < this.#count; i++) {
        const value = dot(values.subarray(i * width, (i + 1) * width), probe.vector);
        projections[i * this.#norms.length + p] = value / this.#norms[p]!;
      }
    });
    if (tokens.length === 0) return;
    for (let i = 0; i < this.#count; i++)
      tokens.set(values.subarray(i * width, (i + 1) * width), (i * (this.#layers + 1) + layer) * width);
  }

  result(): Read {
    return this.#read;
  }
}

/** Summed in the tokens' order in Float64, as rows that are generated here are. */
function meanOf(values: Float32Array, positions: readonly number[], width: number): Float32Array {
  const sum = new Float64Array(width);
  for (const position of positions)
    for (let i = 0; i < width; i++) sum[i] = sum[i]! + values[position * width + i]!;
  return Float32Array.from(sum, (x) => x / positions.length);
}
