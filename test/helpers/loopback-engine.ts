/**
 * Servers on this machine that speak the wire formats of vLLM with vLLM-Lens 1.2.1 and of EasySteer (steering API v2, on vLLM
 * 0.26), as their sources write them. A model of this process computes what they answer.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { LanguageModel } from '../../src/engine/model.ts';
import { encodeBf16 } from '../../src/model/float-formats.ts';
import type { RemoteKind } from '../../src/model/remote-spec.ts';
import {
  type EngineFaults,
  type EngineRequest,
  type Plan,
  type Scene,
  steeringOf,
} from './loopback-steering.ts';

export interface LoopbackEngine {
  /** As MODEL names it, with the folder of the model's small files. */
  readonly name: string;
  readonly base: string;
  readonly requests: readonly EngineRequest[];
  readonly close: () => Promise<void>;
}

export const SERVED = 'acme/served';

/** Starts a server that stops when the running test ends. */
export async function startLoopbackEngine(
  kind: RemoteKind,
  model: LanguageModel,
  faults: EngineFaults = {},
): Promise<LoopbackEngine> {
  const requests: EngineRequest[] = [];
  const server = createServer((request, response) => {
    void serve(request, response, { kind, model, faults, requests });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  onTestFinished(close);
  const base = `http://127.0.0.1:${port}/v1`;
  const { folder } = model.checkpoint;
  return { name: `${kind}:${base}#${SERVED}&files=${folder}`, base, requests, close };
}

async function serve(request: IncomingMessage, response: ServerResponse, scene: Scene): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const text = Buffer.concat(pieces).toString('utf8');
  const asked: EngineRequest = {
    path: request.url ?? '',
    authorization: request.headers.authorization ?? null,
    body: text === '' ? {} : (JSON.parse(text) as EngineRequest['body']),
    number: scene.requests.length + 1,
  };
  scene.requests.push(asked);
  const wrong = scene.faults.trouble?.(asked);
  if (wrong === 'stall') return;
  const { status, body } = await answerOf(asked, scene).catch((error: unknown) => ({
    status: 400,
    body: { error: { message: String(error), type: 'BadRequestError', param: null, code: 400 } },
  }));
  if (wrong === 'cut') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '4000' });
    response.write(JSON.stringify(body).slice(0, 40), () => response.destroy());
    return;
  }
  const sent = wrong?.body ?? body;
  response.writeHead(wrong?.status ?? status, { 'content-type': 'application/json', ...wrong?.headers });
  response.end(typeof sent === 'string' ? sent : JSON.stringify(sent));
}

async function answerOf(
  asked: EngineRequest,
  scene: Scene,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const { kind, model, faults } = scene;
  const found = (body: unknown): { status: number; body: unknown } => ({ status: 200, body });
  switch (asked.path) {
    case '/v1/models':
      return found({
        object: 'list',
        data: [
          {
            id: SERVED,
            object: 'model',
            owned_by: 'vllm',
            root: '/models/served',
            max_model_len: model.checkpoint.config.maxPositions,
          },
        ],
      });
    case '/v1/completions': {
      const answer = await complete(asked.body, scene);
      return found(faults.answer === undefined ? answer : faults.answer(answer, asked));
    }
    case '/v1/steering':
      if (kind === 'easysteer' && faults.plain !== true)
        return found(faults.steersAll === true ? { active: true, spec: {} } : { active: false });
      break;
    case '/v1/steering/vectors':
      if (kind !== 'easysteer' || faults.plain === true) break;
      if (faults.enabled === false) return { status: 400, body: { error: 'SteerVector is not enabled.' } };
      return found({ preloaded: [] });
  }
  return { status: 404, body: { detail: 'Not Found' } };
}

async function complete(body: EngineRequest['body'], scene: Scene): Promise<Record<string, unknown>> {
  const { model, kind, faults } = scene;
  const prompt = body['prompt'] as number[];
  const plan = steeringOf(body, scene);
  const { ids, finish, stopReason } = await tokensOf(body, plan, model);
  const row = [...prompt, ...ids.slice(0, -1)];
  const choice: Record<string, unknown> = {
    index: 0,
    text: '',
    logprobs: body['logprobs'] === undefined ? null : await logprobsOf(prompt, ids, body, plan, model),
    finish_reason: finish,
    stop_reason: stopReason,
    token_ids: body['return_token_ids'] === true ? ids : null,
    prompt_logprobs: body['prompt_logprobs'] === undefined ? null : await promptLogprobs(prompt, plan, model),
    prompt_token_ids: body['return_token_ids'] === true ? prompt : null,
  };
  const capture = (body['vllm_xargs'] as Record<string, string> | undefined)?.['output_residual_stream'];
  const activations =
    kind !== 'vllm-lens' || faults.plain === true || capture === undefined
      ? {}
      : {
          activations: { residual_stream: await captured(row, JSON.parse(capture) as number[], plan, scene) },
        };
  return {
    id: 'cmpl-1',
    object: 'text_completion',
    model: SERVED,
    choices: [choice],
    usage: { prompt_tokens: prompt.length, completion_tokens: ids.length },
    ...activations,
  };
}

async function tokensOf(
  body: EngineRequest['body'],
  plan: Plan,
  model: LanguageModel,
): Promise<{ ids: number[]; finish: string; stopReason: string | number | null }> {
  const prompt = body['prompt'] as number[];
  const maxTokens = body['max_tokens'] as number;
  const ignoreEos = body['ignore_eos'] === true;
  if (plan.start !== null)
    return { ids: await greedily(prompt, maxTokens, plan, model), finish: 'length', stopReason: null };
  const stop = (body['stop'] as string[] | undefined) ?? [];
  const options = {
    maxTokens,
    temperature: body['temperature'] as number,
    topP: body['top_p'] as number,
    topK: Math.max(0, body['top_k'] as number),
    minP: body['min_p'] as number,
    repetitionPenalty: body['repetition_penalty'] as number,
    seed: (body['seed'] as number | undefined) ?? 0,
    ignoreEos,
    stop,
  };
  for await (const row of model.generate(
    [{ ids: prompt, interventions: plan.interventions, key: '0' }],
    options,
  )) {
    if (row.finishReason !== 'stop') return { ids: [...row.ids], finish: 'length', stopReason: null };
    const said = model.checkpoint.tokenizer?.decode(row.ids, { skipSpecial: true }) ?? '';
    const found = stop.find((text) => said.includes(text));
    if (found !== undefined) return { ids: [...row.ids], finish: 'stop', stopReason: found };
    const [end] = model.checkpoint.generation.eosTokenIds;
    return { ids: [...row.ids, end!], finish: 'stop', stopReason: null };
  }
  throw new Error('no reply');
}

/** Token by token, where positions count from another place than the prompt's end. */
async function greedily(
  prompt: readonly number[],
  maxTokens: number,
  plan: Plan,
  model: LanguageModel,
): Promise<number[]> {
  const ids = [...prompt];
  for (let i = 0; i < maxTokens; i++) {
    const logits = (await forward(ids, plan, model, { logits: 'last' })).logits!;
    ids.push(logits.indexOf(Math.max(...logits)));
  }
  return ids.slice(prompt.length);
}

async function forward(
  ids: readonly number[],
  { interventions, start }: Plan,
  model: LanguageModel,
  options: { readonly logits?: 'last' | 'all'; readonly tokens?: true },
) {
  const responseStart = Math.min(start ?? ids.length, ids.length);
  // A place behind the row is one that nothing acts on yet.
  const acts = start !== null && start > ids.length ? [] : interventions;
  for await (const row of model.forward([{ ids, responseStart, interventions: acts }], options)) return row;
  throw new Error('no result');
}

function logSoftmax(logits: Float32Array): (id: number) => number {
  const most = Math.max(...logits);
  const sum = Math.log(logits.reduce((total, x) => total + Math.exp(x - most), 0));
  return (id) => logits[id]! - most - sum;
}

async function promptLogprobs(
  prompt: readonly number[],
  plan: Plan,
  model: LanguageModel,
): Promise<(object | null)[]> {
  const { vocabSize } = model.checkpoint.config;
  const logits = (await forward(prompt, plan, model, { logits: 'all' })).logits!;
  return prompt.map((id, i) => {
    if (i === 0) return null;
    const logprob = logSoftmax(logits.subarray((i - 1) * vocabSize, i * vocabSize))(id);
    return { [String(id)]: { logprob, rank: 1, decoded_token: '' } };
  });
}

async function logprobsOf(
  prompt: readonly number[],
  ids: readonly number[],
  body: EngineRequest['body'],
  plan: Plan,
  model: LanguageModel,
): Promise<object> {
  const { vocabSize } = model.checkpoint.config;
  const row = [...prompt, ...ids.slice(0, -1)];
  const logits = (await forward(row, plan, model, { logits: 'all' })).logits!;
  const at = (i: number): Float32Array => {
    const place = prompt.length - 1 + i;
    return logits.subarray(place * vocabSize, (place + 1) * vocabSize);
  };
  return {
    text_offset: ids.map(() => 0),
    tokens: ids.map((id) => `token_id:${id}`),
    token_logprobs: ids.map((id, i) => logSoftmax(at(i))(id)),
    top_logprobs: ids.map((id, i) => {
      const order = Array.from(at(i).keys()).sort((a, b) => at(i)[b]! - at(i)[a]!);
      const named = [...new Set([...order.slice(0, body['logprobs'] as number), id])];
      return Object.fromEntries(named.map((one) => [`token_id:${one}`, logSoftmax(at(i))(one)]));
    }),
  };
}

/** `[layers, tokens, width]` in bfloat16 or float32, in a frame of zstd as `serialize_tensor` writes it. */
async function captured(
  row: readonly number[],
  indices: readonly number[],
  plan: Plan,
  { model, faults }: Scene,
): Promise<object> {
  const { layers, width } = model.checkpoint.config;
  const { tokens } = await forward(row, plan, model, { tokens: true });
  const shift = faults.countsFromEmbeddings === true ? 0 : 1;
  const known = indices.filter((index) => index + shift <= layers).sort((a, b) => a - b);
  const values = new Float32Array(known.length * row.length * width);
  known.forEach((index, place) => {
    row.forEach((_, i) => {
      const from = (i * (layers + 1) + index + shift) * width;
      values.set(tokens!.subarray(from, from + width), (place * row.length + i) * width);
    });
  });
  return {
    data: zstdFrame(new Uint8Array(values.buffer)).toString('base64'),
    dtype: 'float32',
    original_dtype: 'torch.float32',
    shape: [known.length, row.length, width],
    compression: 'zstd',
  };
}

/** A tensor in bfloat16, as most servers compute. */
export function inBf16(values: Float32Array, shape: readonly number[]): object {
  const words = new Uint16Array(values.length);
  encodeBf16(values, words);
  return {
    data: zstdFrame(new Uint8Array(words.buffer)).toString('base64'),
    dtype: 'int16',
    original_dtype: 'torch.bfloat16',
    shape,
    compression: 'zstd',
  };
}

/** A frame of raw blocks, which any decoder reads. */
function zstdFrame(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(4 + 1 + 8);
  head.writeUInt32LE(0xfd2fb528, 0);
  head[4] = 0xe0;
  head.writeBigUInt64LE(BigInt(bytes.length), 5);
  const blocks: Buffer[] = [head];
  const size = 128 * 1024;
  for (let at = 0; at === 0 || at < bytes.length; at += size) {
    const block = bytes.subarray(at, at + size);
    const isLast = at + size >= bytes.length;
    const header = Buffer.alloc(3);
    header.writeUIntLE((block.length << 3) | (isLast ? 1 : 0), 0, 3);
    blocks.push(header, Buffer.from(block));
  }
  return Buffer.concat(blocks);
}
