/** PyTorch transformers in a process of its own, driven line by line; see peer/transformers_peer.py. */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { LanguageModel } from '../src/engine/model.ts';
import type { ExtractWork } from './extract.ts';
import type { ScreenWork } from './screen.ts';
import { cosine } from '../src/util/vectors.ts';
import { note } from './note.ts';
import { rowIds } from './part.ts';

/** What PyTorch computes in. */
export const peerDtypes = ['float32', 'bfloat16'] as const;
export type PeerDtype = (typeof peerDtypes)[number];

export interface Peer {
  /** What it is timed in: both, unless this processor is hopelessly slow at one. */
  readonly dtypes: readonly PeerDtype[];
  /** Such as `torch 2.13.0, transformers 5.0.0, attention sdpa`. */
  readonly version: string;
  /** Seconds of one forward pass of one row, with the three poolings of every layer or with nothing read. */
  prefill(dtype: PeerDtype, tokens: number, capture: boolean): Promise<number>;
  /** Seconds of so many steps of sampled tokens. */
  decode(dtype: PeerDtype, work: DecodeWork): Promise<number>;
  /** Seconds of an extraction in the authors' order: replies in batches of twenty, then each text alone with all states. */
  extract(dtype: PeerDtype, work: ExtractWork): Promise<number>;
  /**
   * Seconds of screening as the authors do: with `own` the model's replies in batches of twenty, then each text alone with all
   * states and logits, and nothing used again.
   */
  screen(dtype: PeerDtype, work: ScreenWork & { readonly own: boolean }): Promise<number>;
  /** Seconds of a LoRA step with PEFT. */
  train(dtype: PeerDtype, work: TrainWork): Promise<number>;
  /** Mean residuals of a prompt of so many tokens: the first numbers of every layer but the last. */
  readings(dtype: PeerDtype, tokens: number): Promise<readonly (readonly number[])[]>;
  close(): void;
}

export interface TrainWork {
  readonly rows: number;
  readonly tokens: number;
  readonly rank: number;
  readonly alpha: number;
}

export interface DecodeWork {
  readonly batch: number;
  readonly prompt: number;
  readonly steps: number;
  readonly capture: boolean;
}

/** Starts `python` and loads the model in both dtypes. */
export async function startPeer(python: string, folder: string, threads: number): Promise<Peer> {
  const script = fileURLToPath(new URL('peer/transformers_peer.py', import.meta.url));
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const ask = async (order: object): Promise<Record<string, unknown>> => {
    child.stdin.write(`${JSON.stringify(order)}\n`);
    const line = await Promise.race([lines.next(), failed]);
    if (line.done === true) throw new Error(`expected an answer from ${python}, got its end (see above)`);
    return JSON.parse(line.value) as Record<string, unknown>;
  };
  const seconds = async (order: object): Promise<number> => (await ask(order))['seconds'] as number;
  let version = '';
  for (const dtype of peerDtypes) {
    const { torch, transformers, attention } = await ask({ command: 'load', folder, dtype, threads });
    version = `torch ${String(torch)}, transformers ${String(transformers)}, attention ${String(attention)}`;
  }
  const prefill: Peer['prefill'] = (dtype, tokens, capture) =>
    seconds({ command: 'prefill', dtype, tokens, capture });
  return {
    version,
    dtypes: await worthwhile(prefill),
    prefill,
    decode: (dtype, work) => seconds({ command: 'decode', dtype, ...work }),
    extract: (dtype, work) => seconds({ command: 'extract', dtype, ...work }),
    screen: (dtype, work) => seconds({ command: 'screen', dtype, ...work }),
    train: (dtype, work) => seconds({ command: 'train', dtype, ...work }),
    readings: async (dtype, tokens) =>
      (await ask({ command: 'readings', dtype, tokens }))['readings'] as number[][],
    close: () => child.stdin.end(),
  };
}

/** So many times as slow as the other, a dtype is not timed: bfloat16 takes minutes on a processor without instructions for it. */
const hopeless = 3;

async function worthwhile(prefill: Peer['prefill']): Promise<readonly PeerDtype[]> {
  const seconds = new Map<PeerDtype, number>();
  for (const dtype of peerDtypes) {
    await prefill(dtype, 64, false);
    seconds.set(dtype, await prefill(dtype, 64, false));
  }
  const least = Math.min(...seconds.values());
  return peerDtypes.filter((dtype) => {
    const times = seconds.get(dtype)! / least;
    if (times > hopeless) note(`PyTorch in ${dtype} takes ${times.toFixed(1)} times as long here; left out`);
    return times <= hopeless;
  });
}

/**
 * The smallest cosine, over layers, of what both sides read off one prompt: both must be doing the same work. The numbers
 * are PyTorch's in float32.
 */
export async function agreement(peer: Peer, model: LanguageModel, tokens: number): Promise<number> {
  const theirs = await peer.readings('float32', tokens);
  const { width, vocabSize } = model.checkpoint.config;
  const row = { ids: rowIds(tokens, vocabSize) };
  for await (const { pooled } of model.forward([row], { pool: ['prompt_mean'] })) {
    const ours = pooled.prompt_mean!;
    return Math.min(
      ...theirs.map((layer, l) => cosine(layer, ours.subarray(l * width, l * width + layer.length))),
    );
  }
  throw new Error('expected one result from the engine, got none');
}
