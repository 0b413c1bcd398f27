import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ShardCounts, type ScreenRow, screenRowSchema, shardCountsSchema } from './screen-schema.ts';
import { readTextIfThere, storeFailure, writeJson, writeWhole } from './files.ts';
import { jsonLine, readJsonl } from './jsonl.ts';
import { slug } from './cache-folder.ts';

/** What a finished screening holds beside its report and manifest. */
export const screenFiles = {
  scored: 'scored.jsonl',
  parquet: 'scored.parquet',
  flagged: 'flagged.jsonl',
  kept: 'kept.jsonl',
  random: 'random.jsonl',
} as const;

/** The file of a trait's samples that lie highest or lowest. */
export function extremeFile(end: 'top' | 'bottom', trait: string): string {
  return `${end}-${slug(trait)}.jsonl`;
}

/**
 * Scored rows in parts, each there whole or not at all, and each with its counts. The counts are written last: a part is
 * finished when they are there.
 */
export class ShardStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(run: string): Promise<ShardStore> {
    const folder = join(run, 'shards');
    try {
      await mkdir(folder, { recursive: true });
    } catch (error) {
      throw storeFailure(folder, error);
    }
    return new ShardStore(folder);
  }

  /** The counts of a finished part, else null. */
  async counts(shard: number): Promise<ShardCounts | null> {
    const text = await readTextIfThere(this.#path(shard, 'json'));
    return text === null ? null : shardCountsSchema.parse(JSON.parse(text));
  }

  async write(shard: number, rows: readonly ScreenRow[], counts: ShardCounts): Promise<void> {
    await writeWhole(this.#path(shard, 'jsonl'), rows.map(jsonLine).join(''));
    await writeJson(this.#path(shard, 'json'), counts);
  }

  /** The rows of the first `shards` parts, in order. */
  async *rows(shards: number): AsyncGenerator<ScreenRow> {
    for (let shard = 0; shard < shards; shard++)
      for await (const { value } of readJsonl(this.#path(shard, 'jsonl'), screenRowSchema)) yield value;
  }

  #path(shard: number, ending: string): string {
    return join(this.#folder, `${String(shard).padStart(6, '0')}.${ending}`);
  }
}
