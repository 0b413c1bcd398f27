import { precisionOf } from '../engine/load.ts';
import type { Dtype } from '../engine/model.ts';
import type { DataError } from '../errors.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { defined } from '../util/defined.ts';
import { freeBytes } from '../util/free-bytes.ts';
import { assemble, type Estimate } from './estimate.ts';
import { countTexts, memoryFor, warnings, weightsToQuantise } from './estimate-parts.ts';
import { findRate, type RateOptions } from './estimate-rate.ts';
import { encodeTranscripts } from './project-transcripts.ts';

export interface EstimateTranscriptsOptions extends RateOptions {
  readonly command: 'calibrate' | 'monitor';
  readonly checkpoint: Checkpoint;
  /** Vectors that conversations are projected on. */
  readonly vectors: number;
  /** Conversations; see `readTranscripts`. */
  readonly input: string;
  readonly output: string;
  /** Takes what is wrong with a conversation, which is then left out; by default the first fault is thrown. */
  readonly onBad?: ((error: DataError) => void) | undefined;
  readonly dtype?: Dtype | undefined;
  readonly blockSize?: 32 | 128 | undefined;
}

/** Of a row of `monitor.jsonl`: what a turn takes for every vector. Of a baseline: three places of 201 percentiles. */
const [turnBytes, baselineBytes] = [420, 14_000];

/**
 * What projecting a file of conversations will take; conversations and tokens are counted exactly, by reading all of it.
 *
 * @throws DataError naming the line of a conversation that cannot be run.
 */
export async function estimateTranscripts(options: EstimateTranscriptsOptions): Promise<Estimate> {
  const { command, checkpoint, vectors, output, dtype, blockSize } = options;
  let [conversations, turns, tokens] = [0, 0, 0];
  for await (const { row } of encodeTranscripts(options)) {
    conversations++;
    turns += row.turns.length;
    tokens += row.ids.length;
  }
  const { rate, notes } = await findRate(checkpoint, { dtype, blockSize }, options);
  const memory = memoryFor(checkpoint, { dtype, blockSize, purpose: 'generate' }, null);
  const bytes = vectors * (command === 'monitor' ? turns * turnBytes : baselineBytes);
  const files = [
    { name: output, bytes },
    ...(await weightsToQuantise(checkpoint, { dtype, blockSize }, options.cacheFolder)),
  ];
  const disk = { files, free: await freeBytes(output) };
  return assemble({
    command,
    model: checkpoint.id,
    precision: precisionOf(defined({ dtype, blockSize })),
    steps: [countTexts('conversations', conversations, tokens)],
    rate,
    memory,
    disk,
    judge: null,
    notes: [...notes, ...warnings({ memory, disk })],
  });
}
