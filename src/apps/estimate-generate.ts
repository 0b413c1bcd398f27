import { precisionOf } from '../engine/load.ts';
import type { Dtype } from '../engine/model.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { defined } from '../util/defined.ts';
import { cacheFolder } from '../store/cache-folder.ts';
import { freeBytes } from '../util/free-bytes.ts';
import { assemble, type Estimate } from './estimate.ts';
import { countReplies, memoryFor, warnings, weightsToQuantise } from './estimate-parts.ts';
import { findRate, type RateOptions } from './estimate-rate.ts';
import { defaultMaxTokens, encodeInput, type GenerateInput } from './generate.ts';

export interface EstimateGenerateOptions extends RateOptions {
  /** A model folder, or `owner/name` in the local Hugging Face cache. */
  readonly model: string;
  /** Folder of a LoRA adapter that the model is run with; see `adaptCheckpoint`. */
  readonly adapter?: string;
  readonly input: GenerateInput;
  readonly maxTokens?: number;
  readonly dtype?: Dtype;
  readonly blockSize?: 32 | 128;
}

/** What continuing one prompt will take, if the reply is as long as allowed. */
export async function estimateGenerate(options: EstimateGenerateOptions): Promise<Estimate> {
  const { dtype, blockSize } = options;
  const checkpoint = await loadCheckpoint(options.model, options.adapter);
  const ids = encodeInput(options.input, checkpoint);
  const maxTokens = options.maxTokens ?? defaultMaxTokens(checkpoint, ids.length);
  const step = countReplies('generate', [{ ids, group: null }], { maxTokens, checkpoint });
  const { rate, notes } = await findRate(checkpoint, { dtype, blockSize }, options);
  const form = { dtype, blockSize, purpose: 'generate' } as const;
  const memory = memoryFor(checkpoint, form, { rows: 1, tokens: ids.length + maxTokens });
  const root = options.cacheFolder ?? cacheFolder();
  const files = await weightsToQuantise(checkpoint, { dtype, blockSize }, root);
  const disk = { files, free: await freeBytes(root) };
  return assemble({
    command: 'generate',
    model: checkpoint.id,
    precision: precisionOf(defined({ dtype, blockSize })),
    steps: [step],
    rate,
    memory,
    disk,
    judge: null,
    notes: [...notes, ...warnings({ memory, disk })],
  });
}
