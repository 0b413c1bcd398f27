/** Screening: samples a second of each mode, against the authors' way of computing the same projections. */

import { operationsPerToken } from '../src/engine/model-memory.ts';
import type { LanguageModel } from '../src/engine/model.ts';
import type { ForwardRow } from '../src/engine/types.ts';
import { type Comparison, type Part, rowIds, type Variant, whole } from './part.ts';
import type { Peer, PeerDtype } from './peer.ts';

/** Samples, each a prompt with a reply of its own in the data; the model's own reply is as long as that. */
export interface ScreenWork {
  readonly samples: number;
  /** Tokens of a prompt. */
  readonly prompt: number;
  readonly reply: number;
}

/** As many samples as one of the authors' batches of replies. */
export const screenWork = { samples: 20, prompt: 48 } as const;

const names = {
  cheap: 'prompt-last and raw',
  full: 'full, the prompt run once',
  peerCheap: (dtype: PeerDtype): string => `PyTorch ${dtype}: one pass a sample, all states`,
  peerFull: (dtype: PeerDtype): string => `PyTorch ${dtype}: replies, then two passes a sample`,
} as const;

/** Tokens are samples here: the modes do unequal numbers of tokens for equal numbers of samples. */
export function screenPart(model: LanguageModel, peer: Peer | null, work: ScreenWork): Part {
  const { samples, prompt, reply } = work;
  const each = operationsPerToken(model.checkpoint);
  const dtypes = peer?.dtypes ?? [];
  const variant = (name: string, tokens: number, run: Variant['run']): Variant => ({
    name,
    tokens: samples,
    operations: samples * tokens * each,
    run,
  });
  return {
    title: `screening, ${samples} samples of ${prompt} and ${reply} tokens`,
    unit: 'samples',
    variants: [
      variant(
        names.cheap,
        prompt + reply,
        whole(() => cheap(model, work)),
      ),
      variant(
        names.full,
        prompt + 2 * reply,
        whole(() => full(model, work)),
      ),
      ...dtypes.flatMap((dtype) => [
        variant(names.peerCheap(dtype), prompt + reply, () => peer!.screen(dtype, { ...work, own: false })),
        variant(names.peerFull(dtype), 3 * prompt + 3 * reply, () =>
          peer!.screen(dtype, { ...work, own: true }),
        ),
      ]),
    ],
    comparisons: compare(dtypes),
  };
}

function compare(peers: readonly PeerDtype[]): Comparison[] {
  if (peers.length === 0) return [];
  return [
    {
      label: 'prompt-last against PyTorch, the faster dtype',
      variant: names.cheap,
      against: peers.map(names.peerCheap),
    },
    {
      label: 'full against PyTorch, the faster dtype',
      variant: names.full,
      against: peers.map(names.peerFull),
    },
  ];
}

async function cheap(model: LanguageModel, work: ScreenWork): Promise<void> {
  const rows = promptsOf(model, work).map(({ ids, read }): ForwardRow => ({ ids: [...ids, ...read] }));
  for await (const _ of model.forward(rows, { project: [probeOf(model)] }));
}

async function full(model: LanguageModel, work: ScreenWork): Promise<void> {
  const options = { maxTokens: work.reply, ignoreEos: true, capture: ['response_mean'] } as const;
  for await (const _ of model.generate(promptsOf(model, work), { ...options, project: [probeOf(model)] }));
}

function promptsOf(
  { checkpoint }: LanguageModel,
  { samples, prompt, reply }: ScreenWork,
): { readonly ids: number[]; readonly read: number[] }[] {
  const { vocabSize } = checkpoint.config;
  return Array.from({ length: samples }, (_, i) => ({
    ids: rowIds(prompt, vocabSize, 31 * i),
    read: rowIds(reply, vocabSize, 31 * i + 7),
  }));
}

function probeOf({ checkpoint }: LanguageModel): { layer: number; vector: Float32Array } {
  const { width, layers } = checkpoint.config;
  return {
    layer: Math.ceil(layers / 2),
    vector: Float32Array.from({ length: width }, (_, i) => Math.sin(i + 1)),
  };
}
