/** Prefill: one forward pass over given tokens in different company. */

import type { LanguageModel } from '../src/engine/model.ts';
import { operationsPerToken } from '../src/engine/model-memory.ts';
import type { ForwardOptions, ForwardRow, Intervention } from '../src/engine/types.ts';
import { type Comparison, type Part, productsName, rowIds, type Variant, whole } from './part.ts';
import type { Peer, PeerDtype } from './peer.ts';
import type { Products } from './products.ts';

/** The three poolings of the method; with them every layer of every token is read. */
const pooled: ForwardOptions = { pool: ['response_mean', 'prompt_mean', 'prompt_last'] };
/** Of the batch whose rows are steered apart. */
const rowsSideBySide = 8;

const names = {
  plain: 'one row, nothing read',
  one: 'one row, all layers pooled',
  eight: 'eight rows, all layers pooled',
  steered: 'one row, a vector added to every layer',
  mixed: 'eight rows, each steered at a layer and strength of its own',
  peer: (dtype: PeerDtype): string => `PyTorch ${dtype}, one row, all layers pooled`,
} as const;

/** Every variant runs the same number of tokens. */
export function prefillPart(
  model: LanguageModel,
  products: Products,
  peer: Peer | null,
  tokens: number,
): Part {
  const { vocabSize } = model.checkpoint.config;
  const row = (length: number, offset = 0): ForwardRow => ({
    ids: rowIds(length, vocabSize, offset),
    responseStart: Math.ceil(length / 4),
  });
  const one = row(tokens);
  const eight = Array.from({ length: rowsSideBySide }, (_, i) => row(tokens / rowsSideBySide, i));
  const steered = { ...one, interventions: everyLayer(model) };
  const mixed = eight.map((plain, i) => ({ ...plain, interventions: [apart(model, i)] }));
  const operations = tokens * operationsPerToken(model.checkpoint);
  const forward = (name: string, rows: readonly ForwardRow[], options: ForwardOptions): Variant => ({
    name,
    tokens,
    operations,
    run: whole(async () => {
      for await (const _ of model.forward(rows, options));
    }),
  });
  return {
    title: `prefill of ${tokens} tokens`,
    variants: [
      { name: productsName, tokens, operations, run: whole(() => products.run(tokens, 0)) },
      forward(names.plain, [one], {}),
      forward(names.one, [one], pooled),
      forward(names.eight, eight, pooled),
      forward(names.steered, [steered], {}),
      forward(names.mixed, mixed, pooled),
      ...(peer?.dtypes ?? []).map((dtype): Variant => {
        return { name: names.peer(dtype), tokens, operations, run: () => peer!.prefill(dtype, tokens, true) };
      }),
    ],
    comparisons: compare(model.precision === 'fp32', peer?.dtypes ?? []),
  };
}

/** A vector for layer `layer` that moves the residual stream a little. */
export function smallVector(width: number): Float32Array {
  return Float32Array.from({ length: width }, (_, i) => Math.sin(i));
}

/** What steers row `i` where every row is steered in its own way: another layer and strength for each of eight. */
export function apart({ checkpoint: { config } }: LanguageModel, i: number): Intervention {
  const turn = i % rowsSideBySide;
  const layer = 1 + Math.floor((turn * config.layers) / rowsSideBySide);
  return { layer, vector: smallVector(config.width), coef: 0.01 * (turn + 1) };
}

function everyLayer({ checkpoint: { config } }: LanguageModel): Intervention[] {
  const vector = smallVector(config.width);
  return Array.from({ length: config.layers }, (_, i) => ({ layer: i + 1, vector, coef: 0.01 }));
}

function compare(isFp32: boolean, peers: readonly PeerDtype[]): Comparison[] {
  const compared: Comparison[] = [
    {
      label: 'pooled, share of products',
      variant: names.one,
      against: [productsName],
      ...(isFp32 ? { target: 0.8 } : {}),
    },
    { label: 'capture on against off', variant: names.one, against: [names.plain], target: 0.95 },
    { label: 'steering on against off', variant: names.steered, against: [names.plain], target: 0.95 },
    { label: 'mixed steering on against off', variant: names.mixed, against: [names.eight], target: 0.95 },
  ];
  if (peers.length === 0) return compared;
  const against = peers.map(names.peer);
  const label = 'pooled, against PyTorch';
  const both: Comparison = { label: `${label}, the faster dtype`, variant: names.one, against };
  return [
    ...compared,
    // Where weights are 32-bit floats on both sides, and where either side may shorten them.
    ...(isFp32
      ? [
          { label: `${label} float32`, variant: names.one, against: [names.peer('float32')], target: 1.3 },
          both,
        ]
      : [{ ...both, target: 1.3 }]),
  ];
}
