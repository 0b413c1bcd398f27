import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Graphs whose memory is looked at; they are made in `peak-growth-child.ts`. */
export type MemoryScene = 'quantised-chain' | 'kept-blocks' | 'recomputed-blocks';

/** Bytes by which running a scene raises the peak of a process of its own above what it held before, weights included. */
export function peakGrowth(scene: MemoryScene): number {
  const child = fileURLToPath(new URL('peak-growth-child.ts', import.meta.url));
  const tsx = join(fileURLToPath(new URL('../../node_modules', import.meta.url)), '.bin/tsx');
  const { status, stdout, stderr } = spawnSync(tsx, [child, scene], { encoding: 'utf8' });
  const growth = Number(stdout);
  if (status !== 0 || !(growth > 0)) throw new Error(`the memory scene ${scene} failed: ${stderr}`);
  return growth;
}
