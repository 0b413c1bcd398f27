/** What goes wrong with models on servers, and what is said of it. */

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import { openRemote } from '../../src/engine/remote/open-remote.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { checkpointFingerprint } from '../../src/model/fingerprint.ts';
import type { RemoteKind } from '../../src/model/remote-spec.ts';
import { inBf16, startLoopbackEngine } from '../helpers/loopback-engine.ts';
import type { EngineFaults } from '../helpers/loopback-steering.ts';
import { collect, randomVector } from '../helpers/tiny-models.ts';

const stories = fileURLToPath(new URL('../../models/stories260K', import.meta.url));
let local: LanguageModel;
let width: number;
let layers: number;
beforeAll(async () => {
  local = await loadModel(stories);
  ({ width, layers } = local.checkpoint.config);
});
afterAll(() => local.close());

const patience = { attempts: 3, firstPauseMs: 1, longestPauseMs: 2, stallMs: 60_000 };
const rows = [{ ids: [1, 5, 9, 33, 17], responseStart: 3 }];
/** Requests by which a server is tried when it is opened. */
const TRIALS: Readonly<Record<RemoteKind, number>> = { 'vllm-lens': 4, easysteer: 8 };

/** Whether a request is none of those by which a server is tried. */
function isReading(body: Readonly<Record<string, unknown>>): boolean {
  return body['prompt_logprobs'] !== undefined;
}

/** Where a server never answers nobody waits for long; elsewhere a busy machine may take its time. */
function quickly(wrong: unknown): object {
  return wrong === 'stall' ? { patience: { ...patience, stallMs: 1500 } } : {};
}

async function open(kind: RemoteKind, faults: EngineFaults = {}, more: object = {}) {
  const server = await startLoopbackEngine(kind, local, faults);
  const checkpoint = await loadCheckpoint(server.name);
  const remote = await openRemote(checkpoint, checkpoint.remote!, { patience, ...more });
  return { server, remote };
}

/** Residual streams in an answer, so that a test can change them. */
type Answer = Record<string, unknown> & {
  activations?: { residual_stream: { data: string; shape: number[]; dtype: string } };
};

describe('a server that fails', () => {
  it('once is asked again', async () => {
    for (const wrong of [
      'cut',
      { status: 500, body: 'oops' },
      { status: 200, body: '{"choices": [' },
      'stall',
    ] as const) {
      let count = 0;
      const { remote } = await open(
        'vllm-lens',
        {
          trouble: ({ body }) => (isReading(body) && count++ === 0 ? wrong : undefined),
        },
        quickly(wrong),
      );
      const [row] = await collect(remote.forward(rows, { nll: true }));
      expect(row!.nll![4]).toBeGreaterThan(0);
      expect(count).toBe(2);
    }
  });

  it.each([
    ['cuts every connection', 'cut', /Gave up asking vllm-lens:.* after 3 failures/],
    ['answers 500 each time', { status: 500 }, /it answered 500, trouble of its own/],
    ['never answers', 'stall', /Gave up asking/],
    ['writes half of its JSON', { status: 200, body: '{"choices": [' }, /its answer is no JSON/],
    ['wants a key', { status: 401 }, /wants a key; set PERSONA_KEY_127_0_0_1/],
    [
      'refuses a request',
      { status: 400, body: { error: { message: 'too long', code: 400 } } },
      /refused: too long \(status 400/,
    ],
    [
      'answers something else',
      { status: 200, body: { choices: [] } },
      /answers as no such server does: .*choices/,
    ],
    [
      'gives no token ids',
      { status: 200, body: { choices: [{ text: 'x' }] } },
      /it needs vLLM 0\.10\.2 or later/,
    ],
    [
      'ran other tokens',
      { status: 200, body: { choices: [{ token_ids: [1], prompt_token_ids: [2] }] } },
      /it ran other tokens than it was sent/,
    ],
  ] as const)('%s is given up', async (_, wrong, message) => {
    const { remote } = await open(
      'vllm-lens',
      {
        trouble: ({ body }) => (isReading(body) ? wrong : undefined),
      },
      quickly(wrong),
    );
    await expect(collect(remote.forward(rows, { nll: true }))).rejects.toThrow(message);
  });

  it('is given up at once where it is not there', async () => {
    const { server } = await open('vllm-lens');
    await server.close();
    await expect(loadModel(server.name)).rejects.toThrow(/refused the connection; check its address/);
  });

  it('is left when its caller stops', async () => {
    const controller = new AbortController();
    const { remote } = await open('vllm-lens', {
      trouble: ({ number }) => {
        if (number <= TRIALS['vllm-lens']) return undefined;
        controller.abort();
        return 'stall';
      },
    });
    const { signal } = controller;
    await expect(collect(remote.forward(rows, { nll: true, signal }))).rejects.toThrow(/^stopped/i);
    const cancelled = new AbortController();
    const { remote: other } = await open('vllm-lens', {
      trouble: ({ number }) => {
        if (number <= TRIALS['vllm-lens']) return undefined;
        cancelled.abort();
        return 'stall';
      },
    });
    const row = { ids: [1, 5], signal: cancelled.signal };
    const [result] = await collect(other.generate([row], { maxTokens: 4 }));
    expect(result).toMatchObject({ finishReason: 'cancelled', ids: [] });
  });
});

describe('residual streams over the network', () => {
  const answered = (change: (tensor: NonNullable<Answer['activations']>['residual_stream']) => object) => ({
    answer: (answer: Answer, { number }: { number: number }) =>
      number <= TRIALS['vllm-lens'] || answer.activations === undefined
        ? answer
        : { ...answer, activations: { residual_stream: change(answer.activations.residual_stream) } },
  });

  it.each<[string, EngineFaults, RegExp]>([
    [
      'of another width',
      answered((tensor) => ({ ...tensor, shape: [tensor.shape[0], tensor.shape[1], 8] })),
      /expected residual streams of shape \[5, 5, 64\] \(layers, tokens, width\), got \[5, 5, 8\]/,
    ],
    [
      'of fewer layers',
      answered((tensor) => ({ ...tensor, shape: [4, tensor.shape[1], tensor.shape[2]] })),
      /got \[4, 5, 64\]/,
    ],
    ['of another type', answered((tensor) => ({ ...tensor, dtype: 'int8' })), /a tensor is of int8/],
    [
      'that are no base64',
      answered((tensor) => ({ ...tensor, data: '%%%' })),
      /answers as no such server does/,
    ],
    [
      'that are cut off',
      answered((tensor) => ({ ...tensor, data: tensor.data.slice(0, 400) })),
      /sound zstd data/,
    ],
    [
      'that are not compressed and too few',
      answered((tensor) => ({ ...tensor, data: 'AAAA', compression: null })),
      /a tensor of shape \[5, 5, 64\] has 3 bytes/,
    ],
    [
      'that are no numbers',
      answered(({ shape }) => inBf16(new Float32Array(5 * 5 * 64).fill(Number.NaN), shape)),
      /Expected finite residual streams/,
    ],
  ])('%s are refused', async (_, faults, message) => {
    const { remote } = await open('vllm-lens', faults);
    await expect(collect(remote.forward(rows, { pool: ['prompt_mean'] }))).rejects.toThrow(message);
  });

  it('in bfloat16 are read', async () => {
    const values = randomVector(5 * 5 * 64, 'bf16');
    const { remote } = await open(
      'vllm-lens',
      answered(({ shape }) => inBf16(values, shape)),
    );
    const [row] = await collect(remote.forward(rows, { tokens: true }));
    for (let layer = 1; layer <= layers; layer++)
      for (let token = 0; token < 5; token++) {
        const at = (token * (layers + 1) + layer) * width;
        const from = ((layer - 1) * 5 + token) * width;
        for (let i = 0; i < width; i++)
          expect(Math.abs(row!.tokens![at + i]! - values[from + i]!)).toBeLessThanOrEqual(
            Math.abs(values[from + i]!) / 256,
          );
      }
  });
});

describe('a server that is not what its name says', () => {
  it.each<[string, RemoteKind, EngineFaults, RegExp]>([
    ['vLLM without vLLM-Lens', 'vllm-lens', { plain: true }, /install vllm-lens beside vLLM/],
    [
      'capture that counts from the embeddings',
      'vllm-lens',
      { countsFromEmbeddings: true },
      /expected residual streams of shape \[5, 6, 64\].* got \[6, 6, 64\]/,
    ],
    [
      'steering one block off',
      'vllm-lens',
      { steersFromOne: true },
      /adds after block 3 to be found there and not before, got shares of .* one block earlier/,
    ],
    ['vLLM without EasySteer', 'easysteer', { plain: true }, /to be a server of EasySteer/],
    ['EasySteer with steering off', 'easysteer', { enabled: false }, /start it with --enable-steer-vector/],
    ['EasySteer that steers all', 'easysteer', { steersAll: true }, /start it without/],
    ['EasySteer one block off', 'easysteer', { steersFromOne: true }, /adds after block 1 of 5 to change/],
  ])('%s is refused', async (_, kind, faults, message) => {
    await expect(open(kind, faults)).rejects.toThrow(message);
  });

  it('another model than the one that is named, and options that are not for it', async () => {
    const { server } = await open('vllm-lens');
    const other = server.name.replace('acme/served', 'acme/other');
    await expect(loadModel(other)).rejects.toThrow(/to serve "acme\/other", got "acme\/served"/);
    await expect(loadModel(server.name, { dtype: 'int8' })).rejects.toThrow(/whose server decides/);
    const [name] = server.name.split('&files=');
    await expect(loadCheckpoint(name!)).rejects.toThrow(/Found neither a folder "acme\/served"/);
    await expect(loadCheckpoint(name!.replace('acme/served', '/data/served'))).rejects.toThrow(
      /&files=OWNER\/NAME/,
    );
  });
});

describe('what an engine cannot do', () => {
  const vector = (): Float32Array => randomVector(width, 'v');
  it('is refused before anything is sent, with the capability and who has it', async () => {
    const { server, remote } = await open('vllm-lens', { positional: false });
    const run = (interventions: object[], more: object = {}) =>
      collect(
        remote.generate([{ ids: [1, 5], interventions: interventions as never, ...more }], { maxTokens: 2 }),
      );
    const add = { layer: 2, vector: vector(), coef: 1 };
    await expect(run([{ ...add, positions: 'response' }])).rejects.toThrow(
      /needs an engine that can steer from the last prompt token on, which vllm-lens:.* cannot \(capability "at response"\); use a model in a folder here or easysteer/,
    );
    await expect(run([{ ...add, positions: 'boundary' }])).rejects.toThrow(/capability "at boundary"/);
    await expect(run([{ ...add, keepNorm: true }])).rejects.toThrow(/capability "keep-norm"/);
    await expect(run([{ layer: 2, vector: vector(), ablate: true }])).rejects.toThrow(/capability "ablate"/);
    await expect(run([{ layer: 2, vector: vector(), max: 0 }])).rejects.toThrow(/capability "clamp"/);
    await expect(run([{ ...add, when: { layer: 1, vector: vector(), above: 0 } }])).rejects.toThrow(
      /capability "condition"/,
    );
    await expect(run([], { steeredReplies: [{ start: 0, end: 1 }] })).rejects.toThrow(/"earlier replies"/);
    await expect(collect(remote.forward(rows, { logits: 'last' }))).rejects.toThrow(/capability "logits"/);
    await expect(
      collect(remote.forward(rows, { project: [{ layer: 0, vector: vector() }] })),
    ).rejects.toThrow(/capability "embeddings"/);
    expect(server.requests.length).toBe(TRIALS['vllm-lens']);
    expect(
      (await collect(remote.generate([{ ids: [1, 5], interventions: [add] }], { maxTokens: 2 })))[0]!.ids,
    ).toHaveLength(2);
  });

  it('is asked: EasySteer takes the algorithms that it was started with, and gives no residual streams', async () => {
    const { remote } = await open('easysteer', { algorithms: ['direct'] });
    expect(remote.capabilities.has('ablate')).toBe(false);
    expect((await open('easysteer')).remote.capabilities.has('ablate')).toBe(true);
    await expect(collect(remote.forward(rows, { pool: ['prompt_mean'] }))).rejects.toThrow(
      /capability "capture"\); use a model in a folder here or vllm-lens/,
    );
  });

  it('weights that lie elsewhere are asked for in vain, and a model is known by its name and its files', async () => {
    const { server, remote } = await open('vllm-lens');
    expect(() => remote.checkpoint.weights).toThrow(
      /the weights of acme\/served here, got a model on a server/,
    );
    const print = await checkpointFingerprint(remote.checkpoint);
    expect(print).toBe(await checkpointFingerprint((await open('vllm-lens')).remote.checkpoint));
    expect(print).not.toBe(await checkpointFingerprint((await open('easysteer')).remote.checkpoint));
    expect(print).not.toBe(await checkpointFingerprint(local.checkpoint));
    await remote.close();
    await expect(collect(remote.forward(rows, { nll: true }))).rejects.toThrow('which is closed');
    expect(server.requests.length).toBe(TRIALS['vllm-lens']);
  });

  it("sends a key of the host's own, and no other", async () => {
    const { server } = await open(
      'vllm-lens',
      {},
      { environment: { PERSONA_KEY_127_0_0_1: 'secret', PERSONA_KEY_GPU: 'other' } },
    );
    expect(new Set(server.requests.map(({ authorization }) => authorization))).toEqual(
      new Set(['Bearer secret']),
    );
    const checkpoint = await loadCheckpoint(server.name.replace(/127\.0\.0\.1:\d+/, 'gpu:8000'));
    const opened = openRemote(checkpoint, checkpoint.remote!, { environment: { PERSONA_KEY_GPU: 'other' } });
    await expect(opened).rejects.toThrow(/Expected https for http:\/\/gpu:8000\/v1/);
  });
});
