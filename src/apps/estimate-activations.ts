import { precisionOf } from '../engine/load.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { defined } from '../util/defined.ts';
import { freeBytes } from '../util/free-bytes.ts';
import { type ActivationsOptions, checkPoolings, measureRows, outlineOf } from './activations.ts';
import { assemble, type Estimate } from './estimate.ts';
import { countTexts, memoryFor, warnings, weightsToQuantise } from './estimate-parts.ts';
import { findRate, type RateOptions } from './estimate-rate.ts';

/** As they would be given to `activations`. */
export type EstimateActivationsOptions = RateOptions &
  Pick<
    ActivationsOptions,
    'model' | 'adapter' | 'input' | 'output' | 'pool' | 'dtype' | 'blockSize' | 'signal'
  >;

/**
 * What `activations` will take; rows and tokens are counted exactly, by reading the whole input.
 *
 * @throws what `activations` throws for rows that cannot be used.
 */
export async function estimateActivations(options: EstimateActivationsOptions): Promise<Estimate> {
  const { output, dtype, blockSize, pool: poolings = ['response_mean'] } = options;
  const checkpoint = await loadCheckpoint(options.model, options.adapter);
  checkPoolings(poolings, checkpoint);
  const { rows, tokens } = await measureRows(options, checkpoint, poolings);
  const { layers, width } = checkpoint.config;
  const { fileLength } = outlineOf(poolings, [rows, layers + 1, width], checkpoint);
  const { rate, notes } = await findRate(checkpoint, { dtype, blockSize }, options);
  const memory = memoryFor(checkpoint, { dtype, blockSize, purpose: 'one-pass' }, null);
  const files = [
    { name: output, bytes: fileLength },
    ...(await weightsToQuantise(checkpoint, { dtype, blockSize }, options.cacheFolder)),
  ];
  const disk = { files, free: await freeBytes(output) };
  return assemble({
    command: 'activations',
    model: checkpoint.id,
    precision: precisionOf(defined({ dtype, blockSize })),
    steps: [countTexts('activations', rows, tokens)],
    rate,
    memory,
    disk,
    judge: null,
    notes: [...notes, ...warnings({ memory, disk })],
  });
}
