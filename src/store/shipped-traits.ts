import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readFailure } from './files.ts';

/** A trait file that comes with the package. */
export interface ShippedTrait {
  /** The file's name without `.json`. */
  readonly name: string;
  readonly file: string;
}

/** The trait files that come with the package, by name. */
export async function shippedTraits(): Promise<ShippedTrait[]> {
  // The same two steps up from `src/store` and from the built `dist/store`.
  const folder = fileURLToPath(new URL('../../traits/', import.meta.url));
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
      .map((entry) => ({ name: entry.name.slice(0, -5), file: join(entry.parentPath, entry.name) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw readFailure(folder, error);
  }
}
