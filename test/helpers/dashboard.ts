import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Dashboard, loadDashboard } from '../../src/server/dashboard.ts';
import { projectRoot } from './source.ts';

const cache = join(projectRoot, 'node_modules/.cache/persona-dashboard');

/** The dashboard as the sources are now, bundled once for all tests: what the checkout has built may be older, or nothing. */
export async function builtDashboard(): Promise<Dashboard> {
  const folder = join(cache, fingerprint());
  if (!existsSync(folder)) bundle(folder);
  const dashboard = await loadDashboard(folder);
  if (dashboard === null) throw new Error(`expected a page in ${folder}`);
  return dashboard;
}

/** What the page is made of: its own sources, and what of the server's it shares. */
function fingerprint(): string {
  const hash = createHash('sha256');
  for (const folder of ['web', 'src/server', 'src/util'])
    for (const name of readdirSync(join(projectRoot, folder), { recursive: true, encoding: 'utf8' }).sort()) {
      const info = statSync(join(projectRoot, folder, name));
      if (info.isFile()) hash.update(`${folder}/${name} ${info.mtimeMs} ${info.size}\n`);
    }
  return hash.digest('hex').slice(0, 16);
}

function bundle(folder: string): void {
  // Test files run side by side: each bundles under a name of its own, and the first to finish gives the name.
  const draft = join(cache, `draft-${randomBytes(6).toString('hex')}`);
  const program = join(projectRoot, 'node_modules/vite/bin/vite.js');
  const flags = ['build', 'web', '--outDir', draft, '--emptyOutDir', '--logLevel', 'warn'];
  const { status, stderr } = spawnSync(process.execPath, [program, ...flags], {
    cwd: projectRoot,
    encoding: 'utf8',
    // Otherwise React is bundled as it is for tests, with its warnings.
    env: { ...process.env, NODE_ENV: 'production' },
  });
  if (status !== 0) throw new Error(`the dashboard does not bundle: ${stderr}`);
  try {
    renameSync(draft, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}
