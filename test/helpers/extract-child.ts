/**
 * Runs one small extraction on the fake model: `extract-child.ts MODEL_FOLDER RUN_FOLDER [ROLLOUTS]`. With a file of rollouts
 * these are judged and used instead of sampling any. For tests that kill it.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { extract } from '../../src/persona/extract.ts';
import { type GivenRollouts, readGivenRollouts } from '../../src/persona/given-rollouts.ts';
import type { JudgeProvider } from '../../src/persona/judge.ts';
import { lexicalJudgeOf } from '../../src/persona/lexical-judge.ts';
import { parseTrait } from '../../src/persona/trait.ts';
import { fakeTrait, openFakeModel } from './fake-model.ts';

const [folder, out, file] = process.argv.slice(2) as [string, string, string | undefined];
const trait = parseTrait(fakeTrait, 'cheerful');
const lexical = lexicalJudgeOf(trait);
/** Behind the model at times and ahead of it at others, so that a kill meets both. */
const judge: JudgeProvider = {
  ...lexical,
  judge: (items) => lexical.judge(slowly(items)),
};

async function* slowly<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  let count = 0;
  for await (const item of items) {
    if (++count % 5 === 0) await sleep(1);
    yield item;
  }
}

/** As they were read, but for their scores. */
async function unscored(path: string): Promise<GivenRollouts> {
  const given = await readGivenRollouts({ pos: path, neg: path }, trait);
  return { ...given, rows: given.rows.map((row) => ({ ...row, scores: null })) };
}

// Slow enough that a kill falls into every step.
const model = await openFakeModel(folder, { delay: 4 });
const rollouts = file === undefined ? {} : { rollouts: await unscored(file) };
process.stdout.write('ready\n');
await extract({
  model,
  out,
  trait,
  judge,
  ...rollouts,
  samples: 10,
  maxTokens: 12,
  directions: ['pca', 'probe'],
  strengthUnit: 'coef',
  sweep: { layers: [1, 3], strengths: [-2, 2], samples: 6 },
  doseResponse: { strengths: [-2, -1, 0, 1, 2], samples: 16, randomDirections: 4, randomSamples: 4 },
  onProgress: (event) => {
    if (event.type !== 'step-progress')
      process.stdout.write(`${event.type} ${'step' in event ? event.step : ''}\n`);
  },
});
