/**
 * The slow and obvious forward of a Llama- or Qwen-like model: plain TypeScript in Float64, no runtime, no
 * batch, no cache. It is the oracle that the engine is tested against and is written to be read beside the
 * papers; nothing outside tests should call it.
 */

import type { Adapter } from '../model/adapter.ts';
import type { ModelConfig } from '../model/config.ts';
import type { ModelWeights } from '../model/weights.ts';
import type { ForwardRow, GenerateRow, Pooling } from './types.ts';
import { capped, normed, type Numbers, product, referenceBlock } from './reference-block.ts';
import {
  type EndsSentence,
  groupAt,
  holdsAt,
  intervene,
  type InterventionGroup,
} from './reference-interventions.ts';

export interface ReferenceOptions {
  readonly adapter?: Adapter;
  /** Whether a token ends a sentence, for `boundary`; default: none does. */
  readonly endsSentence?: EndsSentence;
}

export interface ReferenceResult {
  /** Residual streams `[tokens, L+1, width]`, interventions applied. */
  readonly tokens: Float64Array;
  /** `[tokens, vocabulary]`. */
  readonly logits: Float64Array;
}

/** Runs one row; all layers and all logits. */
export function referenceForward(
  config: ModelConfig,
  weights: ModelWeights<Numbers>,
  row: ForwardRow,
  options: ReferenceOptions = {},
): ReferenceResult {
  // [layer][position][width]
  const layers = [row.ids.map((id) => embeddingOf(config, weights, id))];
  weights.blocks.forEach((block, b) => {
    const output = referenceBlock(config, b, block, options.adapter?.blocks[b] ?? {}, layers[b]!);
    const groups = groupAt(row.interventions ?? [], b + 1);
    const holds = (i: number) => (group: InterventionGroup) =>
      holdsAt(group.positions, i, row.ids, startOf(row), options.endsSentence ?? noSentenceEnds);
    layers.push(output.map((h, i) => intervene(h, groups.filter(holds(i)))));
  });
  const logits = layers
    .at(-1)!
    .map((h) => product(weights.head, normed(config, h, weights.finalNorm)))
    .map((row) => row.map((logit) => capped(logit, config.logitSoftcap)));
  return {
    tokens: flatten(row.ids.flatMap((_, i) => layers.map((layer) => layer[i]!))),
    logits: flatten(logits),
  };
}

/**
 * Mean residual `[L+1, width]` over the positions of a pooling, from `tokens` `[tokens, L+1, width]`; zeros
 * where no position holds.
 */
export function referencePool(
  config: ModelConfig,
  tokens: Numbers,
  row: ForwardRow,
  pooling: Pooling,
  endsSentence: EndsSentence = noSentenceEnds,
): Float64Array {
  const size = (config.layers + 1) * config.width;
  const kept = row.ids.map((_, i) => i).filter((i) => isPooled(pooling, i, row, endsSentence));
  const mean = new Float64Array(size);
  for (const i of kept) {
    for (let j = 0; j < size; j++) mean[j]! += tokens[i * size + j]! / kept.length;
  }
  return mean;
}

/** −log p of every response token given what comes before it, `[tokens]`; 0 for prompt tokens. */
export function referenceNll(config: ModelConfig, logits: Numbers, row: ForwardRow): Float64Array {
  const start = Math.max(1, startOf(row));
  return Float64Array.from(row.ids, (id, i) => {
    if (i < start) return 0;
    const before = Array.from(
      { length: config.vocabSize },
      (_, token) => logits[(i - 1) * config.vocabSize + token]!,
    );
    return logSumExp(before) - before[id]!;
  });
}

export interface ReferenceGenerated {
  readonly ids: readonly number[];
  /** Logits that chose each new token, `[new tokens, vocabulary]`. */
  readonly logits: Float64Array;
}

/** The likeliest continuation of `maxTokens` tokens, never stopping; every step runs the whole row again. */
export function referenceGreedy(
  config: ModelConfig,
  weights: ModelWeights<Numbers>,
  row: GenerateRow,
  maxTokens: number,
  options: ReferenceOptions = {},
): ReferenceGenerated {
  const ids = [...row.ids];
  const chosen: Float64Array[] = [];
  while (chosen.length < maxTokens) {
    const text = { ids, responseStart: row.ids.length, interventions: row.interventions ?? [] };
    const { logits } = referenceForward(config, weights, text, options);
    const last = logits.slice(-config.vocabSize);
    chosen.push(last);
    ids.push(last.indexOf(Math.max(...last)));
  }
  return { ids: ids.slice(row.ids.length), logits: flatten(chosen) };
}

function embeddingOf(config: ModelConfig, weights: ModelWeights<Numbers>, id: number): Float64Array {
  return Float64Array.from(
    { length: config.width },
    (_, i) => config.embeddingScale * weights.embedding[id * config.width + i]!,
  );
}

function isPooled(pooling: Pooling, i: number, row: ForwardRow, endsSentence: EndsSentence): boolean {
  switch (pooling) {
    case 'response_mean':
      return i >= startOf(row);
    case 'prompt_mean':
      return i < startOf(row);
    case 'prompt_last':
      return i === startOf(row) - 1;
    case 'boundary_mean':
      return holdsAt('boundary', i, row.ids, startOf(row), endsSentence);
    default:
      return pooling satisfies never;
  }
}

function startOf(row: ForwardRow): number {
  return row.responseStart ?? row.ids.length;
}

function logSumExp(values: readonly number[]): number {
  const highest = Math.max(...values);
  return highest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - highest), 0));
}

function flatten(vectors: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(vectors.reduce((sum, vector) => sum + vector.length, 0));
  let at = 0;
  for (const vector of vectors) {
    all.set(vector, at);
    at += vector.length;
  }
  return all;
}

function noSentenceEnds(): boolean {
  return false;
}
