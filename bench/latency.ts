/**
 * Runs in a process of its own, on the compiled package: `latency.ts MODULE FOLDER OPTIONS BATCH STEPS`. While a model in
 * a worker thread generates, it sets timers in its own thread and says on standard output, as JSON, how late they were.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { quantileSorted } from 'simple-statistics';
import type { loadModel } from '../src/engine/load.ts';
import type { LoadOptions } from '../src/engine/model.ts';
import { rowIds } from './part.ts';

/** Milliseconds by which timers were late. */
export interface LatencyReport {
  readonly timers: number;
  readonly median: number;
  readonly p99: number;
  readonly largest: number;
}

/** Between two timers, in milliseconds. */
const tickMs = 5;

const [module, folder, options, batch, steps] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const engine = (await import(pathToFileURL(module).href)) as { loadModel: typeof loadModel };
const model = await engine.loadModel(folder, { ...(JSON.parse(options) as LoadOptions), worker: true });
const ids = rowIds(64, model.checkpoint.config.vocabSize);
const rows = Array.from({ length: Number(batch) }, () => ({ ids }));
const work = { done: false };
const generated = generate().finally(() => {
  work.done = true;
});
const late: number[] = [];
while (!work.done) {
  const due = performance.now() + tickMs;
  await sleep(tickMs);
  late.push(Math.max(0, performance.now() - due));
}
await generated;
late.sort((a, b) => a - b);
const report: LatencyReport = {
  timers: late.length,
  median: quantileSorted(late, 0.5),
  p99: quantileSorted(late, 0.99),
  largest: late.at(-1)!,
};
console.log(JSON.stringify(report));
await model.close();

async function generate(): Promise<void> {
  // Every token is listened to, so that the worker's messages are part of the load.
  const settings = { maxTokens: Number(steps), temperature: 1, ignoreEos: true, onToken: () => undefined };
  for await (const _ of model.generate(rows, settings));
}
