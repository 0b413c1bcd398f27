/**
 * Runs in a process of its own, on the compiled package: `start.ts MODULE FOLDER OPTIONS TOKENS`. Loads a model,
 * generates from a prompt of so many tokens, and says on standard output, as JSON, how long that took and what it holds.
 */

import { pathToFileURL } from 'node:url';
import type { loadModel } from '../src/engine/load.ts';
import type { LoadOptions } from '../src/engine/model.ts';
import { processMemory } from './child.ts';
import { rowIds } from './part.ts';

/** Seconds, and bytes of memory; null where the system does not say. */
export interface StartReport {
  /** From the start of the process. */
  readonly toFirstToken: number;
  readonly load: number;
  /** Of the prompt, and of each of the tokens after the first. */
  readonly prefill: number;
  readonly perToken: number;
  /** Resident after load and generation. */
  readonly resident: number;
  readonly anonymous: number | null;
  readonly peak: number;
}

/** Tokens that are generated. */
const newTokens = 16;

const [module, folder, options, tokens] = process.argv.slice(2) as [string, string, string, string];
const engine = (await import(pathToFileURL(module).href)) as { loadModel: typeof loadModel };
const started = performance.now();
const model = await engine.loadModel(folder, JSON.parse(options) as LoadOptions);
const loaded = performance.now();
const ids = rowIds(Number(tokens), model.checkpoint.config.vocabSize);
const times: number[] = [];
const onToken = (): void => void times.push(performance.now());
for await (const _ of model.generate([{ ids }], { maxTokens: newTokens, ignoreEos: true, onToken }));
const [first, last] = [times[0]!, times.at(-1)!];
const report: StartReport = {
  toFirstToken: first / 1000,
  load: (loaded - started) / 1000,
  prefill: (first - loaded) / 1000,
  perToken: (last - first) / 1000 / (newTokens - 1),
  resident: process.memoryUsage.rss(),
  anonymous: processMemory('self', 'RssAnon'),
  peak: process.resourceUsage().maxRSS * 1024,
};
console.log(JSON.stringify(report));
await model.close();
