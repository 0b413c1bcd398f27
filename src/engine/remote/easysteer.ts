/**
 * EasySteer's server (vLLM with `--enable-steer-vector`, steering API v2): a completion's `steering` says what acts where. Its
 * layer ids count blocks from 0, after which it acts: this package's layer id + 1. It gives no residual streams over HTTP.
 */

import { z } from 'zod';
import { UsageError } from '../../errors.ts';
import { ApiRefusal } from '../../util/http/api-client.ts';
import type { Capability } from '../capabilities.ts';
import type { Edit } from '../interventions.ts';
import type { Completions } from './completions.ts';
import { steeringSpec } from './easysteer-wire.ts';
import type { OpenProtocol, RemoteEdits, RemoteProtocol } from './protocol.ts';
import type { Residuals } from './residuals.ts';

const always: readonly Capability[] = ['nll', 'add', 'at all', 'at prompt', 'at response'];

export const openEasySteer: OpenProtocol = async (completions, model) => {
  await checkServer(completions);
  const capabilities = new Set(always);
  if (model.sentenceEnds !== null) capabilities.add('at boundary');
  const server = new EasySteer(completions.id, capabilities, model.sentenceEnds ?? []);
  await checkContract(completions, server, model);
  // The server says at its start which algorithms it takes; a small request tells.
  if (await takes(completions, server, model, { min: 0, max: 0, add: 0 })) capabilities.add('ablate');
  if (await takes(completions, server, model, { keepNorm: true })) capabilities.add('keep-norm');
  return server;
};

class EasySteer implements RemoteProtocol {
  readonly capabilities: ReadonlySet<Capability>;
  readonly #id: string;
  readonly #sentenceEnds: readonly number[];

  constructor(id: string, capabilities: ReadonlySet<Capability>, sentenceEnds: readonly number[]) {
    this.#id = id;
    this.capabilities = capabilities;
    this.#sentenceEnds = sentenceEnds;
  }

  steer(edits: RemoteEdits): object {
    const steering = steeringSpec(edits, this.#sentenceEnds);
    return steering === null ? {} : { steering };
  }

  capture(): object {
    throw new UsageError(`${this.#id} gives no residual streams.`);
  }

  residuals(): Residuals {
    throw new UsageError(`${this.#id} gives no residual streams.`);
  }
}

/** vLLM ignores keys that it does not know: a server without EasySteer would answer, and steer nothing. */
async function checkServer(completions: Completions): Promise<void> {
  const status = await ask(completions, 'steering');
  const parsed = z.object({ active: z.boolean() }).safeParse(status);
  if (!parsed.success)
    throw new UsageError(
      `Expected ${completions.id} to be a server of EasySteer, got none of its routes (/v1/steering); it is vLLM as EasySteer builds it.`,
      { details: { model: completions.id } },
    );
  if (parsed.data.active)
    throw new UsageError(
      `Expected ${completions.id} to steer by request, got a server that steers all of them (--steering-config); start it without.`,
      { details: { model: completions.id } },
    );
  if ((await ask(completions, 'steering/vectors')) === null)
    throw new UsageError(
      `Expected ${completions.id} to take vectors, got a server on which steering is off; start it with --enable-steer-vector --steer-algorithms direct erase --steer-multi-vector.`,
      { details: { model: completions.id } },
    );
}

/** What a route says; null where it refuses, or where there is none. */
async function ask(completions: Completions, path: string): Promise<unknown> {
  try {
    return await completions.get(path);
  } catch (error) {
    if (error instanceof ApiRefusal && [400, 404, 405].includes(Number(error.details['status']))) return null;
    throw error;
  }
}

type Model = Parameters<OpenProtocol>[1];

/**
 * Tries whether vectors after the first and after the last block change what comes next: a server that counts blocks from 1 would
 * not have the first, and one that ignores vectors none.
 *
 * @throws UsageError where they do not.
 */
async function checkContract(completions: Completions, server: EasySteer, model: Model): Promise<void> {
  const run = async (extra: object): Promise<number> => {
    const { promptLogprobs } = await completions.complete({
      ids: model.prompt,
      maxTokens: 1,
      promptLogprobs: true,
      extra,
    });
    return promptLogprobs!.reduce<number>((sum, logprob) => sum + (logprob ?? 0), 0);
  };
  const plain = await run({});
  for (const layer of [1, model.layers]) {
    const steered = await run(server.steer(trial(model, layer, {})));
    if (Math.abs(steered - plain) > 1e-3) continue;
    throw new UsageError(
      `Expected a large vector that ${completions.id} adds after block ${layer} of ${model.layers} to change the prompt's log-probabilities, got the same; its version may count layers otherwise, or ignore vectors.`,
      { details: { model: completions.id, layer } },
    );
  }
}

/** Large beside any residual stream, with signs that no model's own directions have. */
function trial({ width, prompt }: Model, layer: number, more: Partial<Edit>): RemoteEdits {
  const direction = Float32Array.from({ length: width }, (_, i) => (((i * 7) >> 2) % 2 === 0 ? 1 : -1));
  const edit: Edit = {
    direction,
    add: 1000,
    min: -Infinity,
    max: Infinity,
    positions: 'all',
    keepNorm: false,
    gate: null,
    ...more,
  };
  return {
    plan: { layers: new Map([[layer, [[edit]]]]), stages: 1, gates: [], notes: [] },
    places: prompt.map((id, index) => ({ id, index, promptLength: prompt.length })),
    newTokens: 1,
  };
}

/** Whether the server takes a kind of edit. */
async function takes(
  completions: Completions,
  server: EasySteer,
  model: Model,
  kind: Partial<Edit>,
): Promise<boolean> {
  try {
    const extra = server.steer(trial(model, 1, kind));
    await completions.complete({ ids: model.prompt, maxTokens: 1, extra });
    return true;
  } catch (error) {
    if (error instanceof ApiRefusal && error.details['status'] === 400) return false;
    throw error;
  }
}
