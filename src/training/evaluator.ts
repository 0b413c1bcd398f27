import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { pools } from '../engine/positions.ts';
import { floatData, openSession, runSession } from '../engine/session.ts';
import type { Pooling } from '../engine/types.ts';
import { DataError, UsageError } from '../errors.ts';
import { buildEvaluateGraph, evaluateNames } from './evaluate-graph.ts';
import { layLines, type Lines } from './lines.ts';
import { checkRow, findQueries, linePlaces, type RotaryFeeds, tokenFeeds } from './token-feeds.ts';
import { endsSentence, type TrainingModel } from './training-model.ts';
import { parameterFeeds } from './trainable.ts';
import type { EvaluateResult, TrainingRow } from './types.ts';

/**
 * Runs rows through the current parameters, forward only. The session is made at the first call; it holds activations
 * and no weights of its own, since frozen ones lie in their files or in memory that the training shares.
 */
export class Evaluator {
  private readonly model: TrainingModel;
  private readonly rotary: RotaryFeeds;
  private readonly threads: number;
  private session: InferenceSession | null = null;

  constructor(model: TrainingModel, rotary: RotaryFeeds, threads: number) {
    this.model = model;
    this.rotary = rotary;
    this.threads = threads;
  }

  async run(rows: readonly TrainingRow[], pool: Pooling | undefined): Promise<EvaluateResult> {
    if (rows.length === 0) return { loss: 0, weight: 0, rowLosses: new Float64Array(0), pooled: [] };
    for (const row of rows) checkRow(row, this.model.config);
    const lines = layLines(rows, true);
    const queries = findQueries(lines);
    this.session ??= await openSession(buildEvaluateGraph(this.model), {
      threads: this.threads,
      packed: false,
    });
    const feeds = {
      ...tokenFeeds(lines, queries, this.rotary),
      ...parameterFeeds(this.model.trainable.parameters),
      ...this.model.frozen.feeds(),
      [evaluateNames.pool]: this.poolFeed(lines, pool),
    };
    const { nll, pooled } = await runSession(this.session, feeds, { nll: null, pooled: null });
    return {
      ...sumLosses(queries, floatData(nll), rows.length),
      pooled: pool === undefined ? [] : splitRows(floatData(pooled), rows.length),
    };
  }

  async close(): Promise<void> {
    await this.session?.release();
    this.session = null;
  }

  /** `[row, batch * position]`: the mean over the positions that the pooling takes in. */
  private poolFeed(lines: Lines, pool: Pooling | undefined): Tensor {
    const tokens = lines.count * lines.length;
    const readings = pool === undefined ? 0 : lines.rows.length;
    const weights = new Float32Array(readings * tokens);
    if (pool !== undefined) {
      const sentenceEnd = endsSentence(this.model);
      if (pool === 'boundary_mean' && sentenceEnd === null)
        throw new UsageError(
          'pooling "boundary_mean" needs a tokenizer to find sentence ends, and the model has none',
        );
      const places = linePlaces(lines);
      for (const { row, index, line, start } of lines.rows) {
        const taken = row.ids
          .map((_, i) => start + i)
          .filter((at) => pools(pool, places[line]![at]!, sentenceEnd));
        if (taken.length === 0)
          throw new DataError(`row "${row.key}": expected tokens to pool by ${pool}, got none`, {
            details: { row: row.key },
          });
        for (const at of taken) weights[index * tokens + line * lines.length + at] = 1 / taken.length;
      }
    }
    return new Tensor('float32', weights, [readings, tokens]);
  }
}

/** Weighted losses, in token order, in Float64. */
export function sumLosses(
  queries: readonly { readonly row: number; readonly weight: number }[],
  nll: Float32Array,
  rows: number,
): { readonly loss: number; readonly weight: number; readonly rowLosses: Float64Array } {
  const rowLosses = new Float64Array(rows);
  let weight = 0;
  queries.forEach((query, i) => {
    rowLosses[query.row] = rowLosses[query.row]! + query.weight * nll[i]!;
    weight += query.weight;
  });
  return { loss: rowLosses.reduce((sum, x) => sum + x, 0), weight, rowLosses };
}

function splitRows(pooled: Float32Array, rows: number): Float32Array[] {
  const size = pooled.length / rows;
  return Array.from({ length: rows }, (_, row) => pooled.slice(row * size, (row + 1) * size));
}
