/** Writes the trait files of the small world: `tsx recipes/persona-tiny/make-traits.ts [FOLDER]`. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { traitNames } from '../../src/persona/tiny-world/trait-words.ts';
import { traitFile } from './trait-file.ts';

const folder = process.argv[2] ?? fileURLToPath(new URL('../../traits/tiny-world', import.meta.url));
await mkdir(folder, { recursive: true });
for (const trait of traitNames) {
  const text = `${JSON.stringify(traitFile(trait), null, 2)}\n`;
  await writeFile(join(folder, `${trait}.json`), text);
}
console.log(`${traitNames.length} trait files: ${folder}`);
