import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../errors.ts';
import type { Watched } from '../../persona/projection/watch.ts';
import { jsonLine } from '../../store/jsonl.ts';
import { extremeFile, screenFiles } from '../../store/screen-folder.ts';
import type { ScreenRow, ScreenTrait } from '../../store/screen-schema.ts';
import { writeParquet } from '../../store/write-parquet.ts';
import { writeWhole } from '../../store/files.ts';
import { writeFileAtomically } from '../../util/atomic-file.ts';
import { randomStream } from '../../util/random.ts';
import { randomIndices } from './auto.ts';
import { type FlagBy, type FlagRule, percentileIn } from './flags.ts';
import { type Differences, type RankedRow, collectDifferences } from './differences.ts';
import { type TraitFlags, describeTrait, flagsOf } from './trait-flags.ts';

export interface MergeOptions {
  readonly folder: string;
  /** All rows in their order, as often as asked. */
  readonly rows: () => AsyncIterable<RankedRow>;
  readonly watched: readonly Watched[];
  readonly rule: FlagRule;
  /** The judge's ids, one a vector; null without a judge. */
  readonly judges: readonly string[] | null;
  readonly flagBy: FlagBy;
  /** From which of the judge's scores on a sample is flagged; null takes the rule of the differences. */
  readonly judgeThreshold: number | null;
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
  readonly top: readonly (readonly RankedRow[])[];
}

/** Ranks the scored rows and writes all files of them. */
export async function mergeRows(options: MergeOptions): Promise<Merged> {
  const { folder, rows, watched, judges, seed, extremes } = options;
  const shape = { vectors: watched.length, judged: judges !== null };
  const differences = await collectDifferences(rows(), shape, options.isKnown);
  const { count, values } = differences;
  if (count === 0)
    throw new DataError(
      'Expected at least one sample that can be scored, got none; see the counts of what was left out.',
    );
  const sorted = values.map((list) => list.slice().sort());
  const flags = watched.map((vector, v) => flagsOf(options, vector, v, sorted[v]!, differences));
  const traits = watched.map((vector, v) => describeTrait(vector, v, sorted[v]!, flags[v]!, differences));
  const picks = values.map((list) => extremesOf(list, extremes));
  const random = randomIndices(count, extremes, randomStream('screen', 'random samples', seed));
  const taken = new Map<number, RankedRow | null>(
    [...picks.flatMap(({ top, bottom }) => [...top, ...bottom]), ...random].map((i) => [i, null]),
  );
  const flagged = await writeRows(options, flags, sorted, (index, row) => {
    if (taken.has(index)) taken.set(index, row);
  });
  const pick = (indices: readonly number[]): RankedRow[] => indices.map((i) => taken.get(i)!);
  const write = (name: string, indices: readonly number[]): Promise<void> =>
    writeWhole(
      join(folder, name),
      pick(indices)
        .map(({ row }) => trainingLine(row))
        .join(''),
    );
  for (const [v, { name }] of watched.entries()) {
    await write(extremeFile('top', name), picks[v]!.top);
    await write(extremeFile('bottom', name), picks[v]!.bottom);
  }
  await write(screenFiles.random, random);
  const columns = columnsOf(watched, judges !== null);
  await writeParquet(join(folder, screenFiles.scored), join(folder, screenFiles.parquet), columns);
  return { traits, differences, flagged, top: picks.map(({ top }) => distinct(pick(top))) };
}

function distinct(rows: readonly RankedRow[]): RankedRow[] {
  const byText = new Map<string, RankedRow>();
  for (const one of rows) {
    const text = JSON.stringify([one.row.prompt, one.row.reply]);
    if (!byText.has(text)) byText.set(text, one);
  }
  return [...byText.values()];
}

/** Writes the scored rows, the flagged and the kept ones; returns how many are flagged. */
async function writeRows(
  { folder, rows, watched }: MergeOptions,
  flags: readonly TraitFlags[],
  sorted: readonly Float64Array[],
  see: (index: number, row: RankedRow) => void,
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
        for await (const one of rows()) {
          const columns = scoreColumns(one, watched, flags, sorted);
          await scored.add(jsonLine(columns.line));
          await (columns.isFlagged ? bad : good).add(trainingLine(one.row));
          if (columns.isFlagged) flagged++;
          see(index++, one);
        }
      }),
    ),
  );
  return flagged;
}

function scoreColumns(
  { row, difference, by, scores: judged }: RankedRow,
  watched: readonly Watched[],
  flags: readonly TraitFlags[],
  sorted: readonly Float64Array[],
): { readonly line: object; readonly isFlagged: boolean } {
  const { key, id, source, prompt, reply, tokens, projection, reference, base_reply: base } = row;
  const columns: Record<string, number | boolean | null> = {};
  let isFlagged = false;
  for (const [v, { name }] of watched.entries()) {
    const value = difference[v]!;
    const one = flags[v]!.of(value, judged?.[v] ?? null);
    isFlagged ||= one.flagged;
    columns[`${name}_projection`] = projection[v]!;
    columns[`${name}_reference`] = reference?.[v] ?? null;
    columns[`${name}_projection_difference`] = value;
    columns[`${name}_percentile`] = percentileIn(sorted[v]!, value);
    if (judged !== null) {
      columns[`${name}_judge_score`] = judged[v]!;
      columns[`is_${name}_flagged_by_difference`] = one.byDifference;
      columns[`is_${name}_flagged_by_judge`] = one.byJudge;
    }
    columns[`is_${name}_flagged`] = one.flagged;
  }
  const messages = [...prompt, { role: 'assistant', content: reply }];
  return {
    line: { id, key, source, scored_by: by, ...columns, tokens, messages, base_reply: base },
    isFlagged,
  };
}

function columnsOf(watched: readonly Watched[], judged: boolean): Record<string, string> {
  const scores = watched.flatMap(({ name }) => [
    [`${name}_projection`, 'DOUBLE'],
    [`${name}_reference`, 'DOUBLE'],
    [`${name}_projection_difference`, 'DOUBLE'],
    [`${name}_percentile`, 'DOUBLE'],
    ...(judged
      ? [
          [`${name}_judge_score`, 'DOUBLE'],
          [`is_${name}_flagged_by_difference`, 'BOOLEAN'],
          [`is_${name}_flagged_by_judge`, 'BOOLEAN'],
        ]
      : []),
    [`is_${name}_flagged`, 'BOOLEAN'],
  ]);
  return {
    id: 'VARCHAR',
    key: 'VARCHAR',
    source: 'VARCHAR',
    scored_by: 'VARCHAR',
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
