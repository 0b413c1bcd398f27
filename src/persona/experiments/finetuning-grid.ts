import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UsageError } from '../../errors.ts';
import { armPaths } from '../../store/arm-files.ts';
import { isThere, readFailure, writeWhole } from '../../store/files.ts';
import { dataFamilies, dataSet, dataVariants } from '../tiny-speech/data-sets.ts';

/** A data set of the grid, and so a model of it. */
export interface GridSet {
  /** Such as `evil-misaligned_2`. */
  readonly name: string;
  readonly family: string;
  /** The file's name: `normal`, `misaligned_1`, `misaligned_2`. */
  readonly variant: string;
  readonly file: string;
}

export interface GridOptions {
  /** Folder in the authors' layout; null makes the sets of persona-tiny's world. */
  readonly data: string | null;
  /** Folder of the experiment. */
  readonly out: string;
  readonly rows: number;
  readonly seed: number;
  /** Null takes all. */
  readonly families: readonly string[] | null;
  readonly variants: readonly string[] | null;
}

/**
 * The data sets that models are trained on: those in a folder laid out as `<family>/<variant>.jsonl`, or those of the small
 * world, which are written first.
 *
 * @throws UsageError where a family or variant is not there.
 */
export async function gridSets(options: GridOptions): Promise<GridSet[]> {
  const found = options.data === null ? await writeOwn(options) : await findGiven(options.data, options);
  if (found.length > 0) return found;
  throw new UsageError(
    `Expected data sets such as evil/misaligned_2.jsonl in "${options.data ?? options.out}", got none of the families and variants that are asked for.`,
  );
}

async function writeOwn({ out, rows, seed, families, variants }: GridOptions): Promise<GridSet[]> {
  const sets: GridSet[] = [];
  for (const family of chosen(dataFamilies, families, 'family')) {
    for (const variant of chosen(dataVariants, variants, 'variant')) {
      const name = `${family}-${variant}`;
      const file = armPaths.data(out, name);
      const lines = dataSet(family, variant, { rows, seed }).map((row) => `${JSON.stringify(row)}\n`);
      await mkdir(dirname(file), { recursive: true });
      if (!(await isThere(file))) await writeWhole(file, lines.join(''));
      sets.push({ name, family, variant, file });
    }
  }
  return sets;
}

function chosen<T extends string>(known: readonly T[], wanted: readonly string[] | null, what: string): T[] {
  const stranger = wanted?.find((name) => !(known as readonly string[]).includes(name));
  if (stranger !== undefined)
    throw new UsageError(`Expected a ${what} out of ${known.join(', ')}, got "${stranger}".`);
  return known.filter((name) => wanted === null || wanted.includes(name));
}

async function findGiven(data: string, { families, variants }: GridOptions): Promise<GridSet[]> {
  const sets: GridSet[] = [];
  try {
    const folders = (await readdir(data, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    for (const family of folders.map(({ name }) => name).sort()) {
      if (families !== null && !families.includes(family)) continue;
      const files = (await readdir(join(data, family))).filter((name) => name.endsWith('.jsonl')).sort();
      for (const file of files) {
        const variant = file.replace(/\.jsonl$/, '');
        if (variants !== null && !variants.includes(variant)) continue;
        sets.push({ name: `${family}-${variant}`, family, variant, file: join(data, family, file) });
      }
    }
  } catch (error) {
    throw readFailure(data, error);
  }
  return sets;
}
