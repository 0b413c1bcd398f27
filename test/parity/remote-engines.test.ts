/** Models on servers give what the same model gives here. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import type { GenerateOptions, Intervention, Pooled } from '../../src/engine/types.ts';
import { fileURLToPath } from 'node:url';
import { relativeError } from '../helpers/numbers.ts';
import { startLoopbackEngine } from '../helpers/loopback-engine.ts';
import { collect, randomVector } from '../helpers/tiny-models.ts';

const stories = fileURLToPath(new URL('../../models/stories260K', import.meta.url));
let local: LanguageModel;
let width: number;
beforeAll(async () => {
  local = await loadModel(stories);
  ({ width } = local.checkpoint.config);
});
afterAll(() => local.close());

const prompts = ['Once upon a time', 'Lily had a red ball. She', 'The dog'];
const rows = () =>
  prompts.map((text) => {
    const ids = local.checkpoint.tokenizer!.encodePrompt(text);
    return { ids, responseStart: ids.length - 2 };
  });
const vector = (name: string): Float32Array => randomVector(width, name);

/** Everything but the embeddings, which servers do not give and which are zero. */
function expectPooled(found: Pooled, expected: Pooled): void {
  expect(Object.keys(found).toSorted()).toEqual(Object.keys(expected).toSorted());
  for (const [name, values] of Object.entries(found)) {
    const theirs = expected[name as keyof Pooled]!;
    expect([...values.subarray(0, width)]).toEqual(Array.from({ length: width }, () => 0));
    expect(relativeError(values.subarray(width), theirs.subarray(width))).toBeLessThan(1e-5);
  }
}

describe('vLLM with vLLM-Lens', () => {
  it('gives pooled and whole residual streams, projections and log-probabilities', async () => {
    const server = await startLoopbackEngine('vllm-lens', local);
    const notices: string[] = [];
    const remote = await loadModel(server.name, { onNotice: (line) => notices.push(line) });
    const project = [
      { layer: 2, vector: vector('a') },
      { layer: 5, vector: vector('b') },
    ];
    const options = {
      pool: ['response_mean', 'prompt_mean', 'prompt_last', 'boundary_mean'],
      tokens: true,
      project,
      nll: true,
    } as const;
    const [ours, theirs] = [
      await collect(remote.forward(rows(), options)),
      await collect(local.forward(rows(), options)),
    ];
    for (const [i, row] of ours.entries()) {
      expectPooled(row.pooled, theirs[i]!.pooled);
      expect(relativeError(row.projections, theirs[i]!.projections!)).toBeLessThan(1e-5);
      expect(relativeError(row.nll, theirs[i]!.nll!)).toBeLessThan(1e-4);
      expect(row.tokens!.length).toBe(theirs[i]!.tokens!.length);
    }
    expect(notices).toEqual([expect.stringContaining('does not give the embeddings')]);
    await remote.close();
  });

  it.each<[string, Partial<GenerateOptions>]>([
    ['greedily', {}],
    ['with captures and projections', { capture: ['response_mean', 'prompt_last', 'boundary_mean'] }],
    ['up to a stop string', { stop: ['day,'] }],
    ['with log-probabilities', { logprobs: 2 }],
  ])('continues %s', async (_, more) => {
    const server = await startLoopbackEngine('vllm-lens', local);
    const remote = await loadModel(server.name);
    const project = more.capture === undefined ? {} : { project: [{ layer: 3, vector: vector('a') }] };
    const events: unknown[][] = [[], []];
    const run = async (model: LanguageModel, place: number) =>
      collect(
        model.generate(
          rows().map(({ ids }) => ({ ids })),
          {
            maxTokens: 24,
            ...more,
            ...project,
            onToken: ({ index, id, text }) => events[place]!.push([index, id, text]),
          },
        ),
      );
    const [ours, theirs] = [await run(remote, 0), await run(local, 1)];
    for (const [i, row] of ours.entries()) {
      const expected = theirs[i]!;
      expect([...row.ids]).toEqual([...expected.ids]);
      expect([row.text, row.finishReason]).toEqual([expected.text, expected.finishReason]);
      expectPooled(row.pooled, expected.pooled);
      expect(relativeError(row.projections ?? [], expected.projections ?? [])).toBeLessThan(1e-5);
      expect(row.logprobs?.map(({ id, top }) => [id, top.map((one) => one.id)])).toEqual(
        expected.logprobs?.map(({ id, top }) => [id, top.map((one) => one.id)]),
      );
    }
    const sorted = (list: unknown[]): unknown[] => list.map((event) => JSON.stringify(event)).toSorted();
    expect(sorted(events[0]!)).toEqual(sorted(events[1]!));
    await remote.close();
  });

  it.each<[string, Intervention['positions']]>([
    ['every position', 'all'],
    ['the prompt', 'prompt'],
    ['the response', 'response'],
  ])('steers %s', async (_, positions) => {
    const server = await startLoopbackEngine('vllm-lens', local);
    const remote = await loadModel(server.name);
    const interventions: Intervention[] = [
      { layer: 2, vector: vector('a'), coef: 0.4, positions: positions! },
      { layer: 2, vector: vector('b'), coef: -0.2, positions: positions! },
      { layer: 4, vector: vector('c'), coef: 0.3, positions: positions! },
    ];
    const steered = rows().map((row) => ({ ...row, interventions }));
    const pool = ['response_mean', 'prompt_mean'] as const;
    const [ours, theirs, plain] = [
      await collect(remote.forward(steered, { pool, nll: true })),
      await collect(local.forward(steered, { pool, nll: true })),
      await collect(local.forward(rows(), { pool, nll: true })),
    ];
    for (const [i, row] of ours.entries()) {
      expectPooled(row.pooled, theirs[i]!.pooled);
      expect(relativeError(row.nll, theirs[i]!.nll!)).toBeLessThan(1e-4);
      expect(relativeError(row.nll, plain[i]!.nll!)).toBeGreaterThan(1e-3);
    }
    const continued = rows().map(({ ids }) => ({ ids, interventions }));
    const options = { maxTokens: 12, ignoreEos: true, capture: ['response_mean'] } as const;
    const [a, b] = [
      await collect(remote.generate(continued, options)),
      await collect(local.generate(continued, options)),
    ];
    expect(a.map(({ ids }) => [...ids])).toEqual(b.map(({ ids }) => [...ids]));
    await remote.close();
  });

  it("keeps what is steered apart in the server's prefix cache", async () => {
    const server = await startLoopbackEngine('vllm-lens', local);
    const remote = await loadModel(server.name);
    const [row] = rows();
    const steered = [0.2, 0.4].map((coef) => ({
      ...row!,
      interventions: [{ layer: 2, vector: vector('a'), coef }],
    }));
    const before = server.requests.length;
    await collect(remote.forward([row!, ...steered], { pool: ['response_mean'], nll: true }));
    await remote.close();
    const salts = new Map(
      server.requests.slice(before).map(({ body }) => {
        const xargs = (body['vllm_xargs'] ?? {}) as Readonly<Record<string, string>>;
        return [xargs['apply_steering_vectors'], body['cache_salt']];
      }),
    );
    expect(salts.size).toBe(3);
    expect(salts.get(undefined)).toBeUndefined();
    expect(new Set(salts.values()).size).toBe(3);
  });

  it('scores continuations', async () => {
    const server = await startLoopbackEngine('vllm-lens', local);
    const remote = await loadModel(server.name);
    const asked = rows().map(({ ids }, i) => ({
      ids,
      continuations: [[9, 4 + i], [17], [30, 31, 32]].slice(i),
    }));
    const [ours, theirs] = [
      await collect(remote.scoreContinuations(asked)),
      await collect(local.scoreContinuations(asked)),
    ];
    for (const [i, { logprobs }] of ours.entries())
      expect(relativeError(Float32Array.from(logprobs), Float32Array.from(theirs[i]!.logprobs))).toBeLessThan(
        1e-4,
      );
    await remote.close();
  });
});

describe('EasySteer', () => {
  it.each<[string, Intervention[]]>([
    ['additions', [add('a', 2), add('b', 2), add('c', 4)]],
    ['additions at the response', [{ ...add('a', 2), positions: 'response' }]],
    ['additions at the prompt', [{ ...add('a', 2), positions: 'prompt' }]],
    ['additions where sentences begin', [{ ...add('a', 3), positions: 'boundary' }]],
    ['an ablation', [{ layer: 3, vector: [], ablate: true }]],
    ['an addition that keeps the norm, before another', [{ ...add('a', 2), keepNorm: true }, add('b', 2)]],
  ])('steers by %s', async (_, given) => {
    const server = await startLoopbackEngine('easysteer', local);
    const remote = await loadModel(server.name);
    const interventions = given.map((one, i): Intervention => ({ ...one, vector: vector(`easysteer ${i}`) }));
    const continued = rows().map(({ ids }) => ({ ids, interventions }));
    const options = { maxTokens: 16 } as const;
    const [ours, theirs, plain] = [
      await collect(remote.generate(continued, options)),
      await collect(local.generate(continued, options)),
      await collect(local.generate(rows(), options)),
    ];
    expect(ours.map(({ ids, text }) => [[...ids], text])).toEqual(
      theirs.map(({ ids, text }) => [[...ids], text]),
    );
    expect(ours.map(({ text }) => text)).not.toEqual(plain.map(({ text }) => text));
    await remote.close();
  });

  it('reads log-probabilities of steered texts, whose replies it takes for prompts', async () => {
    const server = await startLoopbackEngine('easysteer', local);
    const remote = await loadModel(server.name);
    for (const positions of ['all', 'prompt', 'response'] as const) {
      const interventions = [{ layer: 2, vector: vector('a'), coef: 0.4, positions }];
      const steered = rows().map((row) => ({ ...row, interventions }));
      const [ours, theirs] = [
        await collect(remote.forward(steered, { nll: true })),
        await collect(local.forward(steered, { nll: true })),
      ];
      for (const [i, { nll }] of ours.entries())
        expect(relativeError(nll, theirs[i]!.nll!)).toBeLessThan(1e-4);
    }
    await remote.close();
  });
});

function add(_: string, layer: number): Extract<Intervention, { coef: number }> {
  return { layer, vector: [], coef: 0.5 };
}
