import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const schema = z.object({ name: z.string(), version: z.string() });

/** Name and version of this package, from its package.json two folders up from `src/store` and `dist/store` alike. */
export async function packageInfo(): Promise<z.infer<typeof schema>> {
  return schema.parse(JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')));
}
