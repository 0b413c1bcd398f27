/** Builds `dist/` from `src/`: JavaScript, type declarations and source maps, and a runnable command. */

import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

// Files of deleted sources would otherwise stay in the published package.
rmSync(`${root}/dist`, { recursive: true, force: true });
const compiler = `${root}/node_modules/typescript/bin/tsc`;
const build = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (build.status !== 0) process.exit(build.status ?? 1);
// The compiler writes plain files; npm 10 runs a package's own command only where it is executable.
chmodSync(`${root}/dist/cli/main.js`, 0o755);
