import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeManyRows } from '../../../test/helpers/many-rows.ts';
import { folderContents } from '../../../test/helpers/screen-scene.ts';
import { runStubScreening } from '../../../test/helpers/screen-stub.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';

it('Parquet rows stream through, and a killed screening ends in the same bytes', async () => {
  const folder = await temporaryFolder();
  const rows = 10_000;
  const files = await writeManyRows(folder, rows);
  const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')];
  const told = await runStubScreening({ ...files, out: whole });
  expect(told!.samples).toBe(rows);
  // The bound of two million rows; `scripts/screen-millions.ts` measures those.
  expect(told!.most - told!.before).toBeLessThan(400e6);
  expect(await runStubScreening({ ...files, out: killed }, 0.4 * rows)).toBeNull();
  await runStubScreening({ ...files, out: killed });
  expect(await folderContents(killed)).toEqual(await folderContents(whole));
});
