import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { type ShardCounts, shardCountsSchema } from './screen-schema.ts';
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

/** What is kept in parts: rows scored by the mode, in mode `auto` two lots of them by `full`, and what a judge said. */
export type PartKind = 'shards' | 'control' | 'near' | 'judged';

/**
 * Rows in parts, each there whole or not at all, and each with its counts. The counts are written last: a part is
 * finished when they are there.
 */
export class PartStore<Row extends object> {
  readonly #folder: string;
  readonly #schema: z.ZodType<Row>;

  private constructor(folder: string, schema: z.ZodType<Row>) {
    this.#folder = folder;
    this.#schema = schema;
  }

  static async open<Row extends object>(
    run: string,
    kind: PartKind,
    schema: z.ZodType<Row>,
  ): Promise<PartStore<Row>> {
    const folder = join(run, kind);
    try {
      await mkdir(folder, { recursive: true });
    } catch (error) {
      throw storeFailure(folder, error);
    }
    return new PartStore(folder, schema);
  }

  /** The counts of a finished part, else null. */
  async counts(part: number): Promise<ShardCounts | null> {
    const text = await readTextIfThere(this.#path(part, 'json'));
    return text === null ? null : shardCountsSchema.parse(JSON.parse(text));
  }

  async write(part: number, rows: readonly Row[], counts: ShardCounts): Promise<void> {
    await writeWhole(this.#path(part, 'jsonl'), rows.map(jsonLine).join(''));
    await writeJson(this.#path(part, 'json'), counts);
  }

  /** The rows of the first `parts` parts, in order. */
  async *rows(parts: number): AsyncGenerator<Row> {
    for (let part = 0; part < parts; part++)
      for await (const { value } of readJsonl(this.#path(part, 'jsonl'), this.#schema)) yield value;
  }

  #path(part: number, ending: string): string {
    return join(this.#folder, `${String(part).padStart(6, '0')}.${ending}`);
  }
}
