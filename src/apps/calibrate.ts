import type { LanguageModel } from '../engine/model.ts';
import type { Rate } from './estimate.ts';

/** Tokens of the measured prompt. */
const promptTokens = 256;
/** Tokens behind which steps are measured: attention over what is past is a part of them, for a small model the larger one. */
const decodePrompt = 128;
/** Steps of one measured generation. */
const steps = 6;
/** Rows of the wider of two generations; what a step costs at other widths lies on the line through both. */
const wideRows = 64;
/** What is quick is repeated for so many seconds; what is slow runs once. */
const enoughSeconds = 0.4;

/**
 * Measures how fast a loaded model runs here, in a few seconds for a small model and some tens for a large one: one
 * prompt, and steps of one row and of many.
 */
export async function calibrate(model: LanguageModel): Promise<Rate> {
  const { vocabSize, maxPositions } = model.checkpoint.config;
  const length = Math.min(promptTokens, maxPositions);
  const ids = Array.from({ length }, (_, i) => (7919 * i) % vocabSize);
  // The first run of a session is slower than those that follow.
  await timePrompt(model, ids.slice(0, 8));
  const prompt = await repeat(() => timePrompt(model, ids));
  const short = ids.slice(0, Math.min(decodePrompt, maxPositions - steps - 1));
  const narrow = await repeat(() => timeStep(model, short, 1));
  const wide = await repeat(() => timeStep(model, short, wideRows));
  return lineThrough({ prompt: length / prompt, narrow, wide });
}

/** The rate whose steps take `narrow` seconds for one row and `wide` for `wideRows`. */
export function lineThrough(measured: {
  readonly prompt: number;
  readonly narrow: number;
  readonly wide: number;
}): Rate {
  const { prompt, narrow, wide } = measured;
  const row = Math.max(0, (wide - narrow) / (wideRows - 1));
  return { prompt, step: Math.max(0, narrow - row), row };
}

/** Seconds of the fastest of several runs: what else the machine does can only slow one down. */
async function repeat(run: () => Promise<number>): Promise<number> {
  let fastest = Infinity;
  const started = performance.now();
  do fastest = Math.min(fastest, await run());
  while (performance.now() - started < 1000 * enoughSeconds);
  return fastest;
}

async function timePrompt(model: LanguageModel, ids: readonly number[]): Promise<number> {
  const started = performance.now();
  for await (const _ of model.forward([{ ids }], { pool: ['prompt_mean'] }));
  return (performance.now() - started) / 1000;
}

/** Seconds of a step of the whole batch, sampled and captured as extraction does it. */
async function timeStep(model: LanguageModel, ids: readonly number[], rows: number): Promise<number> {
  let [first, last, seen] = [0, 0, 0];
  const onToken = (): void => {
    last = performance.now();
    if (++seen === rows) first = last;
  };
  const batch = Array.from({ length: rows }, () => ({ ids }));
  const options = { maxTokens: steps + 1, temperature: 1, ignoreEos: true, onToken };
  for await (const _ of model.generate(batch, { ...options, capture: ['prompt_last'] }));
  return (last - first) / 1000 / steps;
}
