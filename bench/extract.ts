/** Extraction: sampled replies and their pooled activations, to the difference of means at every layer. */

import type { LanguageModel } from '../src/engine/model.ts';
import { operationsPerToken } from '../src/engine/model-memory.ts';
import type { GenerateRow, Pooled } from '../src/engine/types.ts';
import { type Comparison, type Part, rowIds, type Variant, whole } from './part.ts';
import type { Peer, PeerDtype } from './peer.ts';
import { headOperations } from './products.ts';

/** What is extracted from: every prompt is answered so many times. Half of the prompts are one pole, half the other. */
export interface ExtractWork {
  readonly prompts: number;
  readonly samples: number;
  /** Tokens of a prompt. */
  readonly prompt: number;
  /** Tokens of a reply. */
  readonly reply: number;
}

/** As many rows as one of the authors' batches: more would only favour this engine, which runs them all side by side. */
export const extractWork = { prompts: 2, samples: 10, prompt: 48 } as const;

/** The paper's three. */
const pool = ['response_mean', 'prompt_mean', 'prompt_last'] as const;

const names = {
  captured: 'captured while generated',
  passes: 'generated, then one pass a row',
  peer: (dtype: PeerDtype): string => `PyTorch ${dtype}: generated, then one pass a row`,
} as const;

export function extractPart(model: LanguageModel, peer: Peer | null, work: ExtractWork): Part {
  const { checkpoint } = model;
  const rows = work.prompts * work.samples;
  const tokens = rows * work.reply;
  const operations = tokens * (operationsPerToken(checkpoint) + headOperations(checkpoint));
  const variant = (name: string, run: () => Promise<void>): Variant => ({
    name,
    tokens,
    operations,
    run: whole(run),
  });
  return {
    title: `extraction, ${rows} replies of ${work.reply} tokens`,
    variants: [
      variant(names.captured, () => captured(model, work)),
      variant(names.passes, () => inTwo(model, work)),
      ...(peer?.dtypes ?? []).map((dtype) => ({
        ...variant(names.peer(dtype), () => Promise.resolve()),
        run: () => peer!.extract(dtype, work),
      })),
    ],
    comparisons: compare(peer?.dtypes ?? []),
  };
}

async function captured(model: LanguageModel, work: ExtractWork): Promise<void> {
  const means = new MeanDifference(model, work);
  for await (const { index, pooled } of model.generate(rowsOf(model, work), {
    maxTokens: work.reply,
    temperature: 1,
    ignoreEos: true,
    capture: pool,
  })) {
    means.add(index, pooled);
  }
  means.finish();
}

/** The authors' order on this engine: all replies first, then each text alone through the model. */
async function inTwo(model: LanguageModel, work: ExtractWork): Promise<void> {
  const rows = rowsOf(model, work);
  const means = new MeanDifference(model, work);
  const replies: (readonly number[])[] = [];
  const options = { maxTokens: work.reply, temperature: 1, ignoreEos: true };
  for await (const { index, ids } of model.generate(rows, options)) replies[index] = ids;
  for (const [i, reply] of replies.entries()) {
    const row = { ids: [...rows[i]!.ids, ...reply], responseStart: work.prompt };
    for await (const { pooled } of model.forward([row], { pool, logits: 'all' })) means.add(i, pooled);
  }
  means.finish();
}

function rowsOf({ checkpoint }: LanguageModel, { prompts, samples, prompt }: ExtractWork): GenerateRow[] {
  return Array.from({ length: prompts }, (_, p) => {
    const ids = rowIds(prompt, checkpoint.config.vocabSize, 31 * p);
    return Array.from({ length: samples }, (__, sample) => ({ ids, key: `${p}/${sample}` }));
  }).flat();
}

/** Sums in Float64, as an extraction takes them. */
class MeanDifference {
  private readonly sums: Float64Array[];
  private readonly rows: number;
  private seen = 0;

  constructor({ checkpoint }: LanguageModel, { prompts, samples }: ExtractWork) {
    const { layers, width } = checkpoint.config;
    this.rows = prompts * samples;
    this.sums = pool.map(() => new Float64Array((layers + 1) * width));
  }

  add(index: number, pooled: Pooled): void {
    const sign = index < this.rows / 2 ? 1 : -1;
    for (const [i, name] of pool.entries()) {
      const [sum, values] = [this.sums[i]!, pooled[name]!];
      for (let j = 0; j < sum.length; j++) sum[j]! += sign * values[j]!;
    }
    this.seen++;
  }

  /** A run that lost a row, or that overflowed, is no result. */
  finish(): void {
    if (this.seen !== this.rows) throw new Error(`expected ${this.rows} replies, got ${this.seen}`);
    if (!this.sums.every((sum) => sum.every(Number.isFinite))) throw new Error('expected finite means');
  }
}

function compare(peers: readonly PeerDtype[]): Comparison[] {
  const against = (label: string, others: readonly string[], target?: number): Comparison => ({
    label,
    variant: names.captured,
    against: others,
    ...(target === undefined ? {} : { target }),
  });
  return [
    against('against the authors’ order on this engine', [names.passes]),
    ...(peers.length > 0 ? [against('against PyTorch, the faster dtype', peers.map(names.peer), 5)] : []),
  ];
}
