/** Decode: steps of one token a row, sampled at temperature 1, at a number of rows side by side. */

import type { LanguageModel } from '../src/engine/model.ts';
import { operationsPerToken } from '../src/engine/model-memory.ts';
import type { GenerateOptions, GenerateRow, Intervention } from '../src/engine/types.ts';
import { type Comparison, type Part, productsName, rowIds, type Variant, whole } from './part.ts';
import type { Peer, PeerDtype } from './peer.ts';
import { apart, smallVector } from './prefill.ts';
import { headOperations, type Products } from './products.ts';

/** Tokens of the prompt, which all rows share, so that it is run once; it is not timed. */
export const decodePrompt = 64;

const names = {
  plain: 'nothing read',
  capture: 'all layers captured',
  steered: 'a vector added at one layer',
  mixed: 'rows steered at eight layers and strengths',
  watched: 'projected on eight vectors',
  peer: (dtype: PeerDtype, capture: boolean): string =>
    `PyTorch ${dtype}${capture ? ', all layers captured' : ''}`,
} as const;

/** What is read while tokens come. */
type Reading = Pick<GenerateOptions, 'capture' | 'project'>;

/** Every variant samples `steps` tokens for each of `batch` rows. */
export function decodePart(
  model: LanguageModel,
  products: Products,
  peer: Peer | null,
  { batch, steps }: { readonly batch: number; readonly steps: number },
): Part {
  const { checkpoint } = model;
  const tokens = batch * steps;
  const operations = tokens * (operationsPerToken(checkpoint) + headOperations(checkpoint));
  const { layers, width } = checkpoint.config;
  const middle: Intervention = { layer: Math.ceil(layers / 2), vector: smallVector(width), coef: 0.01 };
  const mixed = Array.from({ length: 8 }, (_, i) => [apart(model, i)]);
  const generate = (
    name: string,
    steering: readonly (readonly Intervention[])[],
    read: Reading = {},
  ): Variant => ({
    name,
    tokens,
    operations,
    run: () => timeSteps(model, rowsOf(model, batch, steering), steps, read),
  });
  const project = Array.from({ length: 8 }, (_, i) => ({
    layer: 1 + (i % layers),
    vector: smallVector(width),
  }));
  const byPeer = (dtype: PeerDtype, capture: boolean): Variant => ({
    name: names.peer(dtype, capture),
    tokens,
    operations,
    run: () => peer!.decode(dtype, { batch, prompt: decodePrompt, steps, capture }),
  });
  const productSteps = async (): Promise<void> => {
    for (let step = 0; step < steps; step++) await products.run(batch, batch);
  };
  return {
    title: `decode at batch ${batch}, ${steps} steps`,
    variants: [
      { name: productsName, tokens, operations, run: whole(productSteps) },
      generate(names.plain, [[]]),
      generate(names.capture, [[]], { capture: ['response_mean'] }),
      generate(names.steered, [[middle]]),
      generate(names.mixed, mixed),
      generate(names.watched, [[]], { project }),
      ...(peer?.dtypes ?? []).flatMap((dtype) => [byPeer(dtype, false), byPeer(dtype, true)]),
    ],
    comparisons: compare(batch === 16 && model.precision.startsWith('int8'), peer?.dtypes ?? []),
  };
}

/** Rows take the lists in turn; those with the very same list share the run of their prompt. */
function rowsOf(
  { checkpoint }: LanguageModel,
  batch: number,
  steering: readonly (readonly Intervention[])[],
): GenerateRow[] {
  const ids = rowIds(decodePrompt, checkpoint.config.vocabSize);
  return Array.from({ length: batch }, (_, row) => ({
    ids,
    interventions: steering[row % steering.length]!,
  }));
}

/** Seconds from the first token of the last row to the last token of all: `steps` steps of the whole batch. */
export async function timeSteps(
  model: LanguageModel,
  rows: readonly GenerateRow[],
  steps: number,
  read: Reading,
): Promise<number> {
  let seen = 0;
  let [started, ended] = [0, 0];
  const onToken = (): void => {
    ended = performance.now();
    if (++seen === rows.length) started = ended;
  };
  const options = { maxTokens: steps + 1, temperature: 1, ignoreEos: true, ...read, onToken };
  for await (const _ of model.generate(rows, options));
  if (seen !== rows.length * (steps + 1)) throw new Error(`expected ${steps + 1} tokens a row, got ${seen}`);
  return (ended - started) / 1000;
}

function compare(hasTarget: boolean, peers: readonly PeerDtype[]): Comparison[] {
  const only = (target: number): { target?: number } => (hasTarget ? { target } : {});
  const on = (label: string, variant: string): Comparison => ({
    label: `${label} on against off`,
    variant,
    against: [names.plain],
    target: 0.95,
  });
  const faster = (label: string, variant: string, capture: boolean): Comparison => ({
    label: `${label}, against PyTorch, the faster dtype`,
    variant,
    against: peers.map((dtype) => names.peer(dtype, capture)),
    ...only(2.5),
  });
  return [
    { label: 'share of products', variant: names.plain, against: [productsName], ...only(0.75) },
    on('capture', names.capture),
    on('steering', names.steered),
    on('mixed steering', names.mixed),
    on('projections', names.watched),
    ...(peers.length > 0
      ? [faster('nothing read', names.plain, false), faster('captured', names.capture, true)]
      : []),
  ];
}
