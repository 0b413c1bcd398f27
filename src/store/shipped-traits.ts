import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readFailure } from './files.ts';

/** A trait file that comes with the package: `traits/<set>/<name>.json`. */
export interface ShippedTrait {
  /** The kind of model it is written for. */
  readonly set: string;
  readonly name: string;
  readonly file: string;
}

/** The trait files that come with the package, by set and name. */
export async function shippedTraits(): Promise<ShippedTrait[]> {
  // The same two steps up from `src/store` and from the built `dist/store`.
  const folder = fileURLToPath(new URL('../../traits/', import.meta.url));
  try {
    const sets = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    const found = await Promise.all(sets.map((set) => traitsOf(folder, set.name)));
    return found.flat().sort((a, b) => (a.file < b.file ? -1 : 1));
  } catch (error) {
    throw readFailure(folder, error);
  }
}

async function traitsOf(folder: string, set: string): Promise<ShippedTrait[]> {
  const names = (await readdir(join(folder, set))).filter((name) => name.endsWith('.json'));
  return names.map((name) => ({ set, name: name.slice(0, -5), file: join(folder, set, name) }));
}
