import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { measureFolder } from './folder-size.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';

it('counts files at every depth once, and follows no link', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'a/b'), { recursive: true });
  await writeFile(join(folder, 'one'), 'x'.repeat(10));
  await writeFile(join(folder, 'a/b/two.part'), 'x'.repeat(5));
  await symlink('../one', join(folder, 'a/link'));
  await symlink('..', join(folder, 'a/round'));
  expect(await measureFolder(folder)).toEqual({ files: 2, bytes: 15 });
  expect(await measureFolder(folder, (name) => name.endsWith('.part'))).toEqual({ files: 1, bytes: 5 });
  expect(await measureFolder(join(folder, 'nowhere'))).toEqual({ files: 0, bytes: 0 });
});
