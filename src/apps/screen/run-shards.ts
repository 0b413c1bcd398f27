import { AbortError } from '../../errors.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import type { DatasetRow } from '../../store/dataset/read-dataset.ts';
import type { ShardStore } from '../../store/screen-folder.ts';
import type { ShardCounts } from '../../store/screen-schema.ts';
import {
  type EncodedSample,
  type Sample,
  type SampleLimits,
  type ScreenedTurns,
  encodeSample,
  samplesOf,
} from './samples.ts';
import type { ScreenRow } from '../../store/screen-schema.ts';

export interface RunShardsOptions {
  readonly rows: AsyncIterable<DatasetRow>;
  readonly turns: ScreenedTurns;
  readonly parts: Pick<Checkpoint, 'id' | 'tokenizer' | 'chatTemplate'>;
  readonly limits: SampleLimits;
  readonly shards: ShardStore;
  /** Samples of a part. */
  readonly shardSamples: number;
  readonly score: (samples: readonly EncodedSample[]) => Promise<ScreenRow[]>;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((samples: number) => void) | undefined;
}

export interface ShardTotals extends ShardCounts {
  readonly shards: number;
}

/**
 * Scores a data set part by part. A part that is on the disk already is read past and not scored again, and what a part
 * holds follows from the data alone, so that a run that was stopped ends in the same bytes.
 *
 * @throws AbortError when stopped; what is finished stays.
 */
export async function runShards(options: RunShardsOptions): Promise<ShardTotals> {
  const { rows, turns, shardSamples, signal } = options;
  const totals = { rows: 0, samples: 0, empty: 0, long: 0, refused: 0 };
  let waiting: Sample[] = [];
  let [shard, rowsHere] = [0, 0];
  const finish = async (): Promise<void> => {
    if (signal?.aborted === true) throw new AbortError('Stopped between two parts of the data set.');
    const counts = await finishShard(options, shard++, waiting, rowsHere);
    for (const name of ['rows', 'samples', 'empty', 'long', 'refused'] as const) totals[name] += counts[name];
    [waiting, rowsHere] = [[], 0];
    options.onProgress?.(totals.samples + totals.empty + totals.long + totals.refused);
  };
  for await (const row of rows) {
    rowsHere++;
    waiting.push(...samplesOf(row, turns));
    if (waiting.length >= shardSamples) await finish();
  }
  if (rowsHere > 0) await finish();
  return { ...totals, shards: shard };
}

async function finishShard(
  { shards, parts, limits, score }: RunShardsOptions,
  shard: number,
  samples: readonly Sample[],
  rows: number,
): Promise<ShardCounts> {
  const known = await shards.counts(shard);
  if (known !== null) return known;
  const counts = { rows, samples: 0, empty: 0, long: 0, refused: 0 };
  const encoded: EncodedSample[] = [];
  for (const sample of samples) {
    const one = encodeSample(parts, sample, limits);
    if (typeof one === 'string') counts[one]++;
    else encoded.push(one);
  }
  counts.samples = encoded.length;
  await shards.write(shard, encoded.length === 0 ? [] : await score(encoded), counts);
  return counts;
}
