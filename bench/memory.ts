/**
 * Loads a model in a process of its own and says on standard output, as JSON, how long that took and what it
 * holds: `memory.ts FOLDER PURPOSE THREADS TOKENS`. A process that loaded another model before would say more.
 */

import { readFileSync } from 'node:fs';
import { loadModel } from '../src/engine/load.ts';
import type { LoadOptions } from '../src/engine/model.ts';

/** Bytes of memory; null where the system does not say. */
export interface MemoryReport {
  readonly loadSeconds: number;
  /** Resident after load and one forward; `anonymous` is what no file backs, weights read in place are not in it. */
  readonly resident: number;
  readonly anonymous: number | null;
  /** Largest resident size so far. */
  readonly peakLoad: number;
  readonly peak: number;
}

const [folder, purpose, threads, tokens] = process.argv.slice(2);
const started = performance.now();
const model = await loadModel(folder!, {
  purpose: purpose as NonNullable<LoadOptions['purpose']>,
  threads: Number(threads),
});
const loadSeconds = (performance.now() - started) / 1000;
const peakLoad = peakBytes();
const row = { ids: Array.from({ length: Number(tokens) }, (_, i) => i % model.checkpoint.config.vocabSize) };
for await (const _ of model.forward([row], { pool: ['prompt_mean', 'prompt_last'] }));
const report: MemoryReport = {
  loadSeconds,
  resident: process.memoryUsage.rss(),
  anonymous: anonymousBytes(),
  peakLoad,
  peak: peakBytes(),
};
console.log(JSON.stringify(report));
await model.close();

function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

function anonymousBytes(): number | null {
  if (process.platform !== 'linux') return null;
  const found = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return found === null ? null : Number(found[1]) * 1024;
}
