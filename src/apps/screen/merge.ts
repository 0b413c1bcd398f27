import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../errors.ts';
import type { Watched } from '../../persona/projection/watch.ts';
import { jsonLine } from '../../store/jsonl.ts';
import { type ShardStore, extremeFile, screenFiles } from '../../store/screen-folder.ts';
import type { ScreenRow, ScreenTrait } from '../../store/screen-schema.ts';
import { writeParquet } from '../../store/write-parquet.ts';
import { writeWhole } from '../../store/files.ts';
import { directionHash } from '../../training/directions.ts';
import { writeFileAtomically } from '../../util/atomic-file.ts';
import { randomStream } from '../../util/random.ts';
import { type FlagRule, percentileIn, quantilesOf, thresholdOf } from './flags.ts';
import { foundKnown } from './known.ts';
import { type Differences, collectDifferences, differenceOf, intervalOf } from './differences.ts';

export interface MergeOptions {
  readonly folder: string;
  readonly shards: ShardStore;
  readonly shardCount: number;
  readonly watched: readonly Watched[];
  readonly rule: FlagRule;
  /** Samples in the files of the highest, the lowest and random ones. */
  readonly extremes: number;
  /** Whether a row is known to show what is looked for; of such rows the ranking is judged. */
  readonly isKnown: (row: ScreenRow) => boolean;
  readonly seed: number;
}

export interface Merged {
  readonly traits: readonly ScreenTrait[];
  readonly differences: Differences;
  /** Samples flagged for any trait. */
  readonly flagged: number;
  /** The highest samples of each trait, highest first; of rows that say the same, one. */
  readonly top: readonly (readonly ScreenRow[])[];
}

/** Ranks the scored rows and writes all files of them. */
export async function mergeShards(options: MergeOptions): Promise<Merged> {
  const { folder, shards, shardCount, watched, rule, seed, extremes } = options;
  const differences = await collectDifferences(shards.rows(shardCount), watched.length, options.isKnown);
  const { count, values, sources, known } = differences;
  if (count === 0)
    throw new DataError(
      'Expected at least one sample that can be scored, got none; see the counts of what was left out.',
    );
  const sorted = values.map((list) => list.slice().sort());
  const traits = watched.map((vector, v): ScreenTrait => {
    const quantiles = quantilesOf(sorted[v]!);
    const threshold = thresholdOf(rule, vector, quantiles);
    return {
      name: vector.name,
      layer: vector.layer,
      vector_sha256: directionHash(vector.vector),
      difference: intervalOf(values[v]!, () => true),
      sources: sources.names.map((source, s) => ({
        source,
        samples: sources.of.reduce((total, of) => total + Number(of === s), 0),
        difference: intervalOf(values[v]!, (i) => sources.of[i] === s),
      })),
      threshold,
      flagged: values[v]!.reduce((total, value) => total + Number(value >= threshold), 0),
      known: foundKnown(values[v]!, known, threshold),
      quantiles,
    };
  });
  const picks = values.map((list) => extremesOf(list, extremes));
  const random = randomIndices(count, extremes, seed);
  const taken = new Map<number, ScreenRow | null>(
    [...picks.flatMap(({ top, bottom }) => [...top, ...bottom]), ...random].map((i) => [i, null]),
  );
  const flagged = await writeRows(options, traits, sorted, (index, row) => {
    if (taken.has(index)) taken.set(index, row);
  });
  const pick = (indices: readonly number[]): ScreenRow[] => indices.map((i) => taken.get(i)!);
  const write = (name: string, indices: readonly number[]): Promise<void> =>
    writeWhole(join(folder, name), pick(indices).map(trainingLine).join(''));
  for (const [v, { name }] of watched.entries()) {
    await write(extremeFile('top', name), picks[v]!.top);
    await write(extremeFile('bottom', name), picks[v]!.bottom);
  }
  await write(screenFiles.random, random);
  await writeParquet(join(folder, screenFiles.scored), join(folder, screenFiles.parquet), columnsOf(watched));
  return { traits, differences, flagged, top: picks.map(({ top }) => distinct(pick(top))) };
}

function distinct(rows: readonly ScreenRow[]): ScreenRow[] {
  const byText = new Map<string, ScreenRow>();
  for (const row of rows) {
    const text = JSON.stringify([row.prompt, row.reply]);
    if (!byText.has(text)) byText.set(text, row);
  }
  return [...byText.values()];
}

/** Writes the scored rows, the flagged and the kept ones; returns how many are flagged. */
async function writeRows(
  { folder, shards, shardCount, watched }: MergeOptions,
  traits: readonly ScreenTrait[],
  sorted: readonly Float64Array[],
  see: (index: number, row: ScreenRow) => void,
): Promise<number> {
  let [index, flagged] = [0, 0];
  const open = (name: string, work: (file: LineFile) => Promise<void>): Promise<void> =>
    writeFileAtomically(join(folder, name), async (handle) => {
      const file = new LineFile(handle);
      await work(file);
      await file.flush();
    });
  await open(screenFiles.scored, (scored) =>
    open(screenFiles.flagged, (bad) =>
      open(screenFiles.kept, async (good) => {
        for await (const row of shards.rows(shardCount)) {
          const columns = scoreColumns(row, watched, traits, sorted);
          await scored.add(jsonLine(columns.line));
          await (columns.isFlagged ? bad : good).add(trainingLine(row));
          if (columns.isFlagged) flagged++;
          see(index++, row);
        }
      }),
    ),
  );
  return flagged;
}

function scoreColumns(
  row: ScreenRow,
  watched: readonly Watched[],
  traits: readonly ScreenTrait[],
  sorted: readonly Float64Array[],
): { readonly line: object; readonly isFlagged: boolean } {
  const { key, id, source, prompt, reply, tokens, projection, reference, base_reply: base } = row;
  const scores: Record<string, number | boolean | null> = {};
  let isFlagged = false;
  for (const [v, { name }] of watched.entries()) {
    const difference = differenceOf(row, v);
    const above = difference >= traits[v]!.threshold;
    isFlagged ||= above;
    scores[`${name}_projection`] = projection[v]!;
    scores[`${name}_reference`] = reference?.[v] ?? null;
    scores[`${name}_projection_difference`] = difference;
    scores[`${name}_percentile`] = percentileIn(sorted[v]!, difference);
    scores[`is_${name}_flagged`] = above;
  }
  const messages = [...prompt, { role: 'assistant', content: reply }];
  return { line: { id, key, source, ...scores, tokens, messages, base_reply: base }, isFlagged };
}

function columnsOf(watched: readonly Watched[]): Record<string, string> {
  const scores = watched.flatMap(({ name }) => [
    [`${name}_projection`, 'DOUBLE'],
    [`${name}_reference`, 'DOUBLE'],
    [`${name}_projection_difference`, 'DOUBLE'],
    [`${name}_percentile`, 'DOUBLE'],
    [`is_${name}_flagged`, 'BOOLEAN'],
  ]);
  return {
    id: 'VARCHAR',
    key: 'VARCHAR',
    source: 'VARCHAR',
    ...Object.fromEntries(scores),
    tokens: 'BIGINT',
    messages: 'STRUCT(role VARCHAR, content VARCHAR)[]',
    base_reply: 'VARCHAR',
  };
}

/** A row as trainers take it. */
function trainingLine({ id, source, prompt, reply }: ScreenRow): string {
  return jsonLine({ id, source, messages: [...prompt, { role: 'assistant', content: reply }] });
}

/** Indices of the highest and the lowest values, each from its end; equal values in the order of the rows. */
function extremesOf(values: Float64Array, count: number): { top: number[]; bottom: number[] } {
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b);
  const bottom = [...order.subarray(0, count)];
  const top = [...order.subarray(Math.max(0, order.length - count))].reverse();
  return { top, bottom };
}

/** So many indices, drawn without replacement, in rising order. */
function randomIndices(length: number, count: number, seed: number): number[] {
  const random = randomStream('screen', 'random samples', seed);
  const drawn = new Set<number>();
  while (drawn.size < Math.min(count, length)) drawn.add(Math.floor(random.uniform() * length));
  return [...drawn].sort((a, b) => a - b);
}

/** Lines gathered into writes of some size. */
class LineFile {
  readonly #handle: FileHandle;
  #lines: string[] = [];
  #held = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async add(line: string): Promise<void> {
    this.#lines.push(line);
    this.#held += line.length;
    if (this.#held > 1_000_000) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#lines.join('');
    [this.#lines, this.#held] = [[], 0];
    // `writeFile` of an open file goes on where the last write ended.
    await this.#handle.writeFile(text);
  }
}
