/** Builds `dist/`: from `src/` JavaScript, type declarations and source maps, and a runnable command; from `web/` the dashboard. */

import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

// Files of deleted sources would otherwise stay in the published package.
rmSync(`${root}/dist`, { recursive: true, force: true });
run('typescript/bin/tsc', ['-p', 'tsconfig.build.json']);
run('vite/bin/vite.js', ['build', 'web', '--logLevel', 'warn']);
// The compiler writes plain files; npm 10 runs a package's own command only where it is executable.
chmodSync(`${root}/dist/cli/main.js`, 0o755);

function run(program: string, args: readonly string[]): void {
  const command = [`${root}/node_modules/${program}`, ...args];
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
