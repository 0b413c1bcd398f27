/**
 * What the tests of the worker engine do, as a program of its own: threads run compiled code, and an exit code is a
 * process's. `node --import tsx worker-scenes.ts DIST SCENE` prints one line of JSON.
 */

import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as Package from '../../src/index.ts';

const [dist, scene, modelFolder, seed = '0'] = process.argv.slice(2) as [string, string, string, string?];
const { loadModel } = (await import(`${dist}/index.js`)) as typeof Package;

const rows = ['One day', 'Lily had a', 'The dog ran', 'Once upon a time', 'Tim'];
const options = {
  maxTokens: 24,
  temperature: 1,
  seed: 3,
  capture: ['response_mean', 'prompt_mean'],
} as const;

const print = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};
const load = (worker: boolean) => loadModel(modelFolder, { worker, threads: 1 });
const encode = (model: Package.LanguageModel, texts: readonly string[]): Package.GenerateRow[] =>
  texts.map((text, i) => ({
    ids: model.checkpoint.tokenizer?.encodePrompt(text) ?? [],
    key: `${text} ${i}`,
  }));

const endless = { ...options, maxTokens: 300, ignoreEos: true } as const;
const crowd = (model: Package.LanguageModel): Package.GenerateRow[] =>
  encode(
    model,
    Array.from({ length: 40 }, () => 'One day'),
  );

async function collect<Result extends { index: number }>(results: AsyncIterable<Result>): Promise<Result[]> {
  const found: Result[] = [];
  for await (const result of results) found[result.index] = result;
  return found;
}

async function nameOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing thrown',
    (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : 'no error'),
  );
}

const scenes: Readonly<Record<string, () => Promise<void>>> = {
  /** The same calls in this thread and in a worker. */
  async equal() {
    const answers: unknown[] = [];
    for (const worker of [false, true]) {
      const model = await load(worker);
      const tokens: unknown[] = [];
      const onToken = (event: unknown): void => void tokens.push(event);
      const generated = await collect(
        model.generate(encode(model, rows), { ...options, onToken, logprobs: 2 }),
      );
      const ran = await collect(
        model.forward(encode(model, rows), { pool: ['prompt_last'], logits: 'last', tokens: true }),
      );
      const continuations = [[5], [5, 6], [7, 5]];
      const scored = await collect(
        model.scoreContinuations(encode(model, rows).map(({ ids }) => ({ ids, continuations }))),
      );
      const bad = await nameOf(collect(model.generate([{ ids: [9999] }], options)));
      answers.push(
        JSON.stringify([generated, ran, scored, tokens, bad], (_, value: unknown) =>
          value instanceof Float32Array || value instanceof Float64Array ? [...value] : value,
        ),
      );
      await model.close();
      answers.push(await nameOf(collect(model.generate(encode(model, rows), options))));
    }
    print({
      same: answers[0] === answers[2],
      closed: answers[3] === answers[1],
      length: String(answers[0]).length,
      error: answers[3],
    });
  },

  /** Two calls side by side, one of them aborted, a row of the other cancelled. */
  async abort() {
    const model = await load(true);
    const controller = new AbortController();
    const row = new AbortController();
    const many = encode(
      model,
      Array.from({ length: 40 }, () => 'One day'),
    );
    const long = { ...options, maxTokens: 200, ignoreEos: true };
    const aborted = nameOf(collect(model.generate(many, { ...long, signal: controller.signal })));
    const [first, ...rest] = encode(model, rows);
    let count = 0;
    const other = collect(
      model.generate([{ ...(first as Package.GenerateRow), signal: row.signal }, ...rest], {
        ...long,
        onToken: ({ index }) => {
          if (index === 0 && ++count === 3) row.abort();
          if (count === 2) controller.abort();
        },
      }),
    );
    const reasons = (await other).map((result) => result.finishReason);
    print({ aborted: await aborted, reasons });
    await model.close();
  },

  /** Closed in mid-work, twenty times, a little later each time. */
  async close() {
    const outcomes: string[] = [];
    for (let n = 0; n < 20; n++) {
      const model = await load(true);
      const work = nameOf(collect(model.generate(crowd(model), endless)));
      await sleep(n * 5);
      await model.close();
      outcomes.push(await work);
    }
    print({ outcomes });
  },

  /** Twenty calls of one model, cancelled in mid-work, and one that is not. */
  async cancel() {
    const model = await load(true);
    const outcomes: string[] = [];
    const whole = JSON.stringify(
      await collect(model.generate(encode(model, rows), { ...options, capture: [] })),
    );
    for (let n = 0; n < 20; n++) {
      const controller = new AbortController();
      const work = nameOf(collect(model.generate(crowd(model), { ...endless, signal: controller.signal })));
      await sleep(n * 5);
      controller.abort();
      outcomes.push(await work);
    }
    const again = JSON.stringify(
      await collect(model.generate(encode(model, rows), { ...options, capture: [] })),
    );
    print({ outcomes, same: again === whole });
    await model.close();
  },

  /** The process ends in mid-work, without a word to the model. */
  async exit() {
    const model = await load(true);
    void nameOf(collect(model.generate(crowd(model), endless)));
    await sleep(20 + Number(seed));
    process.exit(3);
  },

  /** Where this thread cannot open a session, a worker's model works and one of this thread does not. */
  async idle() {
    const runtime = createRequire(`${dist}/index.js`)('onnxruntime-node') as {
      InferenceSession: { create: () => Promise<unknown> };
    };
    runtime.InferenceSession.create = () => Promise.reject(new Error('opened in the main thread'));
    const model = await load(true);
    const results = await collect(model.generate(encode(model, rows), options));
    print({ tokens: results.reduce((sum, { ids }) => sum + ids.length, 0), here: await nameOf(load(false)) });
    await model.close();
  },

  /** A caller that takes one result and no more; the process must end by itself. */
  async leave() {
    const model = await load(true);
    for await (const { index } of model.generate(encode(model, rows), { ...options, batchRows: 1 })) {
      print({ index: typeof index });
      break;
    }
  },

  async missing() {
    print({ error: await nameOf(loadModel('/no/such/folder', { worker: true })) });
  },
};

await scenes[scene]?.();
