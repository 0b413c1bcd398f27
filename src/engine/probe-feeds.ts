import { Tensor } from 'onnxruntime-node';
import { UsageError } from '../errors.ts';
import type { ModelConfig } from '../model/config.ts';
import { dot } from '../util/vectors.ts';
import { names, narrow, productFactor } from './transformer.ts';
import type { Probe } from './types.ts';

/**
 * The probes of a batch as tensors. A layer has places for none or for `narrow` of them, filled up with zeros, so that
 * the products have the same number of columns whatever the rows ask for, and a row's projections the same bits.
 */
export class ProbeFeeds {
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Columns of a step's projections. */
  readonly total: number;
  /** Index: row, probe; its column in a step's projections. */
  private readonly columns: readonly (readonly number[])[];

  private constructor(config: ModelConfig, rows: readonly (readonly Probe[])[]) {
    const { width } = config;
    const columns: number[][] = rows.map((probes) => probes.map(() => 0));
    const feeds: Record<string, Tensor> = {};
    let total = 0;
    for (let layer = 0; layer <= config.layers; layer++) {
      const count = rows.some((probes) => probes.some((probe) => probe.layer === layer)) ? narrow : 0;
      const data = new Float32Array(rows.length * count * width);
      rows.forEach((probes, row) => {
        let next = 0;
        probes.forEach((probe, i) => {
          if (probe.layer !== layer) return;
          if (next === narrow) throw tooMany(layer);
          data.set(halfUnit(probe.vector), (row * count + next) * width);
          columns[row]![i] = total + next++;
        });
      });
      feeds[names.probe(layer)] = new Tensor('float32', data, [rows.length, count, width]);
      total += count;
    }
    this.feeds = feeds;
    this.columns = columns;
    this.total = total;
  }

  /** Of rows that may each have probes of their own; UsageError for more than `narrow` at one layer. */
  static of(config: ModelConfig, rows: readonly (readonly Probe[])[]): ProbeFeeds {
    if (rows.some((probes) => probes.length > 0)) return new ProbeFeeds(config, rows);
    // Tensors without elements do not depend on the step, so they are made once a batch size.
    const known = withoutProbes.get(config) ?? new Map<number, ProbeFeeds>();
    withoutProbes.set(config, known);
    const found = known.get(rows.length) ?? new ProbeFeeds(config, rows);
    known.set(rows.length, found);
    return found;
  }

  /** Number of a row's probes. */
  countOf(row: number): number {
    return this.columns[row]!.length;
  }

  /**
   * A token's projections, `[probes]` in the row's order, out of a step's `projections` `[batch, position, column]`,
   * whose position axis has `positions` places.
   */
  read(projections: Float32Array, row: number, position: number, positions: number): Float32Array {
    const start = (row * positions + position) * this.total;
    return Float32Array.from(this.columns[row]!, (column) => projections[start + column]!);
  }
}

/** UsageError for more than `narrow` at one layer, before they share a batch with those of others. */
export function checkProbeCounts(probes: readonly Probe[]): void {
  const counts = new Map<number, number>();
  for (const { layer } of probes) {
    const count = (counts.get(layer) ?? 0) + 1;
    if (count > narrow) throw tooMany(layer);
    counts.set(layer, count);
  }
}

const withoutProbes = new WeakMap<ModelConfig, Map<number, ProbeFeeds>>();

function tooMany(layer: number): UsageError {
  return new UsageError(
    `expected at most ${narrow} directions that a row is projected on at one layer, conditions among them, got more at layer ${layer}; project in several calls`,
  );
}

/** v/‖v‖ times `productFactor`, which the graph takes out again; a power of two changes no bit. */
function halfUnit(vector: ArrayLike<number>): Float32Array {
  const factor = productFactor / Math.sqrt(dot(vector, vector));
  return Float32Array.from(vector, (x) => x * factor);
}
