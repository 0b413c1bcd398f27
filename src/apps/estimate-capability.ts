import { precisionOf } from '../engine/load.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { cacheFolder } from '../store/cache-folder.ts';
import { defined } from '../util/defined.ts';
import { freeBytes } from '../util/free-bytes.ts';
import { type CapabilityOptions, choiceSetFor } from './capability.ts';
import { type Estimate, assemble } from './estimate.ts';
import { countTexts, memoryFor, warnings, weightsToQuantise } from './estimate-parts.ts';
import { type RateOptions, findRate } from './estimate-rate.ts';

export type EstimateCapabilityOptions = RateOptions &
  Pick<CapabilityOptions, 'model' | 'adapter' | 'data' | 'shots' | 'chat' | 'limit' | 'dtype' | 'blockSize'>;

/** What `capability` will take; tokens are counted exactly. */
export async function estimateCapability(options: EstimateCapabilityOptions): Promise<Estimate> {
  const { dtype, blockSize } = options;
  const checkpoint = await loadCheckpoint(options.model, options.adapter);
  const set = await choiceSetFor(checkpoint, options);
  let [rows, tokens] = [0, 0];
  for (const item of set.items) {
    const { prompt, continuations } = item.encode(checkpoint);
    const lengths = continuations.map(({ length }) => length);
    const single = lengths.every((length) => length === 1);
    rows += single ? 1 : lengths.length;
    tokens += single ? prompt.length : lengths.reduce((sum, length) => sum + prompt.length + length, 0);
  }
  const { rate, notes } = await findRate(checkpoint, { dtype, blockSize }, options);
  const memory = memoryFor(checkpoint, { dtype, blockSize, purpose: 'one-pass' }, null);
  const root = options.cacheFolder ?? cacheFolder();
  const files = await weightsToQuantise(checkpoint, { dtype, blockSize }, root);
  const disk = { files, free: await freeBytes(root) };
  return assemble({
    command: 'capability',
    model: checkpoint.id,
    precision: precisionOf(defined({ dtype, blockSize })),
    steps: [countTexts('questions', rows, tokens)],
    rate,
    memory,
    disk,
    judge: null,
    notes: [...notes, ...warnings({ memory, disk })],
  });
}
