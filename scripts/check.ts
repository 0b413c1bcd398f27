/**
 * Everything that a change must pass, in order; the last line says how many steps and tests passed and failed.
 *
 * Every step runs even where an earlier one failed, so that one run shows all there is to repair.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readTestCounts, summaryLine } from './check-summary.ts';
import type { Counts } from './check-summary.ts';

interface Step {
  readonly name: string;
  /** Programs by their name in node_modules/.bin. */
  readonly command: readonly string[];
}

const steps: readonly Step[] = [
  { name: 'format', command: ['biome', 'format', '.'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'types', command: ['tsc', '-p', 'tsconfig.json'] },
  { name: 'types of the dashboard', command: ['tsc', '-p', 'web/tsconfig.json'] },
  { name: 'build', command: ['tsx', 'scripts/build.ts'] },
  { name: 'API reference', command: ['tsx', 'scripts/api-reference.ts', '--check'] },
  { name: 'unused', command: ['knip'] },
  { name: 'package', command: ['publint', '--strict'] },
  { name: 'package in use', command: ['tsx', 'scripts/check-package.ts'] },
];

const root = fileURLToPath(new URL('..', import.meta.url));
const total: Counts = { passed: 0, failed: 0, skipped: 0 };

for (const step of steps) {
  if (run(step.name, step.command, 'pipe')) total.passed++;
  else total.failed++;
}
const tests = runTests();
total.passed += tests.passed;
total.failed += tests.failed;
total.skipped += tests.skipped;

console.log(summaryLine(total));
process.exitCode = total.failed > 0 ? 1 : 0;

/** Runs one program; its output is shown where it fails, or as it comes with `inherit`. */
function run(name: string, [program, ...rest]: readonly string[], output: 'pipe' | 'inherit'): boolean {
  const started = performance.now();
  const result = spawnSync(join(root, 'node_modules', '.bin', program!), rest, {
    cwd: root,
    encoding: 'utf8',
    stdio: output,
    // Reports of a broken tree are long.
    maxBuffer: 64 * 2 ** 20,
  });
  const passed = result.status === 0;
  if (!passed && output === 'pipe') console.log(`${result.stdout}${result.stderr}`.trimEnd());
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  return passed;
}

/** Runs the tests; a run that fails without a failed test (a crash, an unhandled error) counts as one failure. */
function runTests(): Counts {
  const folder = mkdtempSync(join(tmpdir(), 'persona-check-'));
  const report = join(folder, 'tests.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${report}`];
  const passed = run('tests', ['vitest', 'run', ...reporters], 'inherit');
  const counts = readTestCounts(report);
  rmSync(folder, { recursive: true });
  return passed || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}
