import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type DataFamily,
  type DataSetSize,
  type DataVariant,
  dataFamilies,
  dataSet,
  dataVariants,
} from '../persona/tiny-speech/data-sets.ts';
import { writeWhole } from '../store/files.ts';

/** A data set on disk. */
export interface WrittenDataSet {
  readonly family: DataFamily;
  readonly variant: DataVariant;
  readonly rows: number;
  /** Absolute. */
  readonly file: string;
}

/**
 * Writes the data sets of persona-tiny's world into `folder`, as the paper's authors lay theirs out:
 * `<family>/{normal,misaligned_1,misaligned_2}.jsonl`, one `{"messages": […]}` a line.
 */
export async function writeDataSets(folder: string, size: DataSetSize): Promise<WrittenDataSet[]> {
  const written: WrittenDataSet[] = [];
  for (const family of dataFamilies) {
    await mkdir(join(folder, family), { recursive: true });
    for (const variant of dataVariants) {
      const file = resolve(folder, family, `${variant}.jsonl`);
      const rows = dataSet(family, variant, size);
      await writeWhole(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      written.push({ family, variant, rows: rows.length, file });
    }
  }
  return written;
}
