import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { EditFeeds } from '../engine/edit-feeds.ts';
import { floatData, openSession, runSession } from '../engine/session.ts';
import { noInterventions } from '../engine/interventions.ts';
import type { Intervention } from '../engine/types.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { threadCount } from '../util/threads.ts';
import { DataError, UsageError } from '../errors.ts';
import { loadTrainingModel, planStep } from './create-trainer.ts';
import { buildEffectGraph, effectNames } from './effect-graph.ts';
import { layLines, type Lines } from './lines.ts';
import { checkRow, findQueries, linePlaces, RotaryFeeds, tokenFeeds } from './token-feeds.ts';
import { parameterFeeds } from './trainable.ts';
import { endsSentence } from './training-model.ts';
import type { TrainerOptions, TrainingRow } from './types.ts';

/** What interventions do to one layer of a training forward; means are over all tokens of the rows. */
export interface LayerEffect {
  /** 1 … L. */
  readonly layer: number;
  /** Whether an intervention acts here. */
  readonly intervenes: boolean;
  /** Mean of ‖h‖ without interventions. */
  readonly norm: number;
  /** Mean of ‖h with − h without‖. */
  readonly moved: number;
  /** Mean of (h with − h without) · v/‖v‖; null where no direction is given. */
  readonly projectionChange: number | null;
  /**
   * cos(Σ over tokens of dL/dh, v). Below 0, moving along v lowers the loss: the rows ask for more of v. Null where no
   * direction is given.
   */
  readonly gradientCosine: { readonly without: number; readonly with: number } | null;
}

export interface EffectReport {
  readonly rows: number;
  readonly tokens: number;
  /** Mean loss of a weighted token. */
  readonly loss: { readonly without: number; readonly with: number };
  /** Entry 0 = layer 1. */
  readonly layers: readonly LayerEffect[];
  /** Layers whose interventions moved nothing: a sign of a wrong vector, position or strength. */
  readonly unmoved: readonly number[];
}

/**
 * Runs a probe batch forward and backward with and without the options' interventions, on the parameters with which the
 * training begins, and compares. `directions` are the vectors that projections and cosines are taken along; by default
 * those of the interventions, the first of each layer.
 */
export async function measureEffect(
  checkpoint: Checkpoint,
  options: TrainerOptions,
  rows: readonly TrainingRow[],
  directions: readonly Direction[] = firstVectors(options.interventions ?? []),
): Promise<EffectReport> {
  const probe = await Probe.open(checkpoint, options, rows);
  try {
    const without = await probe.run(false);
    const withThem = await probe.run(true);
    return compare(probe, without, withThem, directionsByLayer(directions, checkpoint.config.width));
  } finally {
    await probe.close();
  }
}

/** A vector at a layer. */
export interface Direction {
  readonly layer: number;
  readonly vector: ArrayLike<number>;
}

/** One run: mean loss, and layer by layer `[batch, position, width]`, entry 0 = layer 1. */
interface ProbeResult {
  readonly loss: number;
  readonly hidden: readonly Float32Array[];
  readonly gradients: readonly Float32Array[];
}

class Probe {
  readonly lines: Lines;
  readonly width: number;
  readonly intervenes: ReadonlySet<number>;
  private readonly session: InferenceSession;
  private readonly feeds: Record<string, Tensor>;
  private readonly masks: { readonly on: Record<string, Tensor>; readonly off: Record<string, Tensor> };
  private readonly weights: readonly number[];

  private constructor(parts: Pick<Probe, 'lines' | 'width' | 'intervenes'> & ProbeParts) {
    this.lines = parts.lines;
    this.width = parts.width;
    this.intervenes = parts.intervenes;
    this.session = parts.session;
    this.feeds = parts.feeds;
    this.masks = parts.masks;
    this.weights = parts.weights;
  }

  static async open(
    checkpoint: Checkpoint,
    options: TrainerOptions,
    rows: readonly TrainingRow[],
  ): Promise<Probe> {
    const model = await loadTrainingModel(checkpoint, options);
    const { interventions } = planStep(model, options);
    if (interventions === noInterventions)
      throw new UsageError('expected interventions to measure the effect of, got none');
    for (const row of rows) checkRow(row, model.config);
    const lines = layLines(rows, options.pack ?? true);
    const queries = findQueries(lines);
    if (queries.length === 0)
      throw new DataError('expected a token with a weight in the probe batch, got none');
    const weights = queries.map(({ weight }) => weight);
    const total = weights.reduce((a, b) => a + b, 0);
    const shares = Float32Array.from(weights, (weight) => weight / total);
    const on = new EditFeeds(model.config, [interventions]).stageFeeds(
      linePlaces(lines),
      lines.length,
      endsSentence(model),
    );
    const session = await openSession(buildEffectGraph(model, interventions), {
      threads: options.threads ?? threadCount(),
      packed: false,
    });
    return new Probe({
      lines,
      width: model.config.width,
      intervenes: new Set(interventions.layers.keys()),
      session,
      feeds: {
        ...tokenFeeds(lines, queries, new RotaryFeeds(model.config)),
        ...parameterFeeds(model.trainable.parameters),
        ...model.frozen.feeds(),
        [effectNames.weights]: new Tensor('float32', shares, [queries.length]),
      },
      masks: { on, off: withoutEffect(on) },
      weights,
    });
  }

  async run(intervene: boolean): Promise<ProbeResult> {
    const masks = intervene ? this.masks.on : this.masks.off;
    const fetches = Object.fromEntries(this.session.outputNames.map((name) => [name, null]));
    const results = await runSession(this.session, { ...this.feeds, ...masks }, fetches);
    const nll = floatData(results[effectNames.nll]);
    const total = this.weights.reduce((a, b) => a + b, 0);
    const layers = (this.session.outputNames.length - 1) / 2;
    const each = (name: (layer: number) => string): Float32Array[] =>
      Array.from({ length: layers }, (_, i) => floatData(results[name(i + 1)]));
    return {
      loss: this.weights.reduce((sum, weight, i) => sum + weight * nll[i]!, 0) / total,
      hidden: each(effectNames.hidden),
      gradients: each(effectNames.gradient),
    };
  }

  /** Places of the rows' tokens in `[batch, position]`, padding left out. */
  tokens(): number[] {
    return this.lines.rows.flatMap(({ row, line, start }) =>
      Array.from(row.ids, (_, i) => line * this.lines.length + start + i),
    );
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}

interface ProbeParts {
  readonly session: InferenceSession;
  readonly feeds: Record<string, Tensor>;
  readonly masks: { readonly on: Record<string, Tensor>; readonly off: Record<string, Tensor> };
  readonly weights: readonly number[];
}

/** The same edits at no position. */
function withoutEffect(feeds: Record<string, Tensor>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => [
      name,
      name.endsWith('.mask') ? new Tensor('float32', new Float32Array(tensor.size), tensor.dims) : tensor,
    ]),
  );
}

function compare(
  probe: Probe,
  without: ProbeResult,
  withThem: ProbeResult,
  directions: ReadonlyMap<number, Float64Array>,
): EffectReport {
  const tokens = probe.tokens();
  const layers = without.hidden.map((before, i): LayerEffect => {
    const layer = i + 1;
    const after = withThem.hidden[i]!;
    const direction = directions.get(layer);
    const at = (token: number, j: number): number => token * probe.width + j;
    const mean = (one: (token: number) => number): number =>
      tokens.reduce((sum, token) => sum + one(token), 0) / tokens.length;
    const length = (value: (token: number, j: number) => number) => (token: number) => {
      let sum = 0;
      for (let j = 0; j < probe.width; j++) sum += value(token, j) ** 2;
      return Math.sqrt(sum);
    };
    const change = (token: number, j: number): number => after[at(token, j)]! - before[at(token, j)]!;
    return {
      layer,
      intervenes: probe.intervenes.has(layer),
      norm: mean(length((token, j) => before[at(token, j)]!)),
      moved: mean(length(change)),
      projectionChange:
        direction === undefined
          ? null
          : mean((token) => direction.reduce((sum, u, j) => sum + u * change(token, j), 0)),
      gradientCosine:
        direction === undefined
          ? null
          : {
              without: summedCosine(without.gradients[i]!, tokens, direction),
              with: summedCosine(withThem.gradients[i]!, tokens, direction),
            },
    };
  });
  return {
    rows: probe.lines.rows.length,
    tokens: tokens.length,
    loss: { without: without.loss, with: withThem.loss },
    layers,
    unmoved: layers.filter(({ intervenes, moved }) => intervenes && moved === 0).map(({ layer }) => layer),
  };
}

/** Cosine of a sum over tokens with a unit vector; 0 for a sum of zeros. */
function summedCosine(gradient: Float32Array, tokens: readonly number[], unit: Float64Array): number {
  const sum = new Float64Array(unit.length);
  for (const token of tokens) {
    for (let j = 0; j < sum.length; j++) sum[j] = sum[j]! + gradient[token * sum.length + j]!;
  }
  const norm = Math.sqrt(sum.reduce((total, x) => total + x * x, 0));
  return norm === 0 ? 0 : sum.reduce((total, x, j) => total + x * unit[j]!, 0) / norm;
}

function firstVectors(interventions: readonly Intervention[]): Direction[] {
  const layers = [...new Set(interventions.map(({ layer }) => layer))];
  return layers.map((layer) => interventions.find((entry) => entry.layer === layer)!);
}

function directionsByLayer(
  directions: readonly Direction[],
  width: number,
): ReadonlyMap<number, Float64Array> {
  return new Map(
    directions.map(({ layer, vector }, i) => {
      const numbers = Float64Array.from(vector);
      const norm = Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0));
      if (numbers.length !== width || !(norm > 0 && Number.isFinite(norm)))
        throw new UsageError(
          `direction ${i + 1} (layer ${layer}): expected ${width} finite numbers that are not all zeros, got ${numbers.length} of length ${norm}`,
        );
      return [layer, numbers.map((x) => x / norm)];
    }),
  );
}
