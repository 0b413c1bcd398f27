/**
 * What the tests of the worker engine do, as a program of its own: threads run compiled code, and an exit code is a
 * process's. `node --import tsx worker-scenes.ts DIST SCENE` prints one line of JSON.
 */

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

  /** Closed at a random moment in mid-work. */
  async close() {
    const model = await load(true);
    const many = encode(
      model,
      Array.from({ length: 40 }, () => 'One day'),
    );
    const work = nameOf(collect(model.generate(many, { ...options, maxTokens: 300, ignoreEos: true })));
    await new Promise((resolve) => setTimeout(resolve, Number(seed) * 7));
    await model.close();
    print({ work: await work });
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
