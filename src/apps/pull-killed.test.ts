import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { nodeFlags, runProcess } from '../../test/helpers/cli.ts';
import { blobName, patternBytes } from '../../test/helpers/loopback-hub.ts';
import { pullScene, waitForSize } from '../../test/helpers/pull-scene.ts';
import { projectRoot } from '../../test/helpers/source.ts';

it('goes on after its process was killed in mid-download', async () => {
  const { run, environment, repoFolder, hub, trusted } = await pullScene({
    file: ({ path, attempt }) =>
      path === 'model.safetensors' && attempt === 1 ? { stallAfter: 200_000 } : undefined,
  });
  const blob = blobName(patternBytes(300_000));
  const partial = join(repoFolder, 'blobs', `${blob}.incomplete`);
  const script = `
    import { pull } from ${JSON.stringify(pathToFileURL(join(projectRoot, 'src/apps/pull.ts')).href)};
    await pull('acme/tiny');`;
  const killed = await runProcess(process.execPath, [...nodeFlags, '--input-type=module', '-e', script], {
    env: environment,
    onStart: (kill) => void waitForSize(partial, 200_000).then(() => kill('SIGKILL')),
  });
  expect(killed.code).toBeNull();
  expect((await stat(partial)).size).toBe(200_000);
  expect(await trusted()).not.toContain(blob);
  await run();
  expect(hub.cdn.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=200000-']);
  expect(await trusted()).toContain(blob);
});
