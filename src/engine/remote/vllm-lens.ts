/**
 * vLLM with UK AISI's vLLM-Lens (1.2): capture and steering by `vllm_xargs` of a completion, whose values are JSON in
 * strings. Its layer index i is block i counted from 0, after which it reads and adds: this package's layer i + 1.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { UsageError } from '../../errors.ts';
import { describeIssues } from '../../store/schema.ts';
import type { Capability } from '../capabilities.ts';
import type { Edit } from '../interventions.ts';
import { covers, type TokenPlace } from '../positions.ts';
import type { Positions } from '../types.ts';
import type { Completions } from './completions.ts';
import type { OpenProtocol, RemoteEdits, RemoteProtocol } from './protocol.ts';
import type { Residuals } from './residuals.ts';
import { encodeTensor, openTensor, tensorSchema } from './tensor-wire.ts';
import { dot } from '../../util/vectors.ts';

/** Names of `vllm_xargs`. */
const keys = { capture: 'output_residual_stream', steer: 'apply_steering_vectors' } as const;

/** What every server with the plugin can do; positions other than `all` are asked for. */
const always: readonly Capability[] = ['capture', 'nll', 'add', 'at all'];
const positional: readonly Capability[] = ['at prompt', 'at response'];

const answerSchema = z.object({ activations: z.object({ residual_stream: tensorSchema }) });

/** The server's number of the block after which `layer` is read. */
function blockIndex(layer: number): number {
  return layer - 1;
}

export const openVllmLens: OpenProtocol = async (completions, model) => {
  const lens = new VllmLens(completions, model.width, new Set(always));
  const isPositional = await checkContract(completions, lens, model);
  return isPositional ? new VllmLens(completions, model.width, new Set([...always, ...positional])) : lens;
};

class VllmLens implements RemoteProtocol {
  readonly capabilities: ReadonlySet<Capability>;
  readonly #completions: Completions;
  readonly #width: number;

  constructor(completions: Completions, width: number, capabilities: ReadonlySet<Capability>) {
    this.#completions = completions;
    this.#width = width;
    this.capabilities = capabilities;
  }

  steer(edits: RemoteEdits): object {
    return steeringKeys(steeringVectors(edits, this.#width));
  }

  capture(steering: object, layers: readonly number[]): object {
    const { vllm_xargs: others } = steering as { readonly vllm_xargs?: object };
    return { ...steering, vllm_xargs: { ...others, [keys.capture]: JSON.stringify(layers.map(blockIndex)) } };
  }

  residuals(answer: unknown, layers: readonly number[], tokens: number): Residuals {
    const parsed = answerSchema.safeParse(answer);
    if (!parsed.success) {
      if ((answer as { readonly activations?: unknown }).activations === undefined)
        throw withoutPlugin(this.#completions.id);
      throw this.#completions.wrong(describeIssues(parsed.error));
    }
    const tensor = parsed.data.activations.residual_stream;
    const expected = [layers.length, tokens, this.#width];
    const { shape } = tensor;
    if (shape.length !== 3 || shape.some((axis, i) => axis !== expected[i]))
      throw this.#completions.wrong(
        `expected residual streams of shape [${expected.join(', ')}] (layers, tokens, width), got [${shape.join(', ')}]`,
      );
    const numbers = openTensor(tensor);
    if (typeof numbers === 'string') throw this.#completions.wrong(numbers);
    const size = tokens * this.#width;
    return {
      layer: (layer) => {
        const place = layers.indexOf(layer);
        return numbers(place * size, (place + 1) * size);
      },
    };
  }
}

/**
 * Keys of a steered request. The plugin has it read nothing from the server's prefix cache, but what it computes is kept there under
 * its tokens alone; with a salt of its own no other request, steered otherwise or not at all, takes it for its prompt.
 */
function steeringKeys(vectors: readonly object[]): object {
  if (vectors.length === 0) return {};
  const text = JSON.stringify(vectors);
  return {
    vllm_xargs: { [keys.steer]: text },
    cache_salt: createHash('sha256').update(text).digest('base64url'),
  };
}

/** One entry for all edits of like positions: their sums by layer, at every position or at those that are listed. */
function steeringVectors({ plan, places, newTokens }: RemoteEdits, width: number): object[] {
  const byPositions = new Map<Positions, Map<number, Float64Array>>();
  for (const [layer, stages] of plan.layers)
    for (const edit of stages.flat()) addTo(byPositions, edit, layer, width);
  return [...byPositions].map(([positions, sums]) =>
    steeringVector(sums, positions === 'all' ? null : indicesOf(positions, places, newTokens)),
  );
}

/** @param where Positions from the row's first token; null for all. */
function steeringVector(
  sums: ReadonlyMap<number, ArrayLike<number>>,
  where: readonly number[] | null,
): object {
  const layers = [...sums.keys()].sort((a, b) => a - b);
  const width = [...sums.values()][0]!.length;
  const copies = where === null ? 1 : where.length;
  const values = new Float32Array(layers.length * copies * width);
  layers.forEach((layer, i) => {
    for (let copy = 0; copy < copies; copy++) values.set(sums.get(layer)!, (i * copies + copy) * width);
  });
  const shape = where === null ? [layers.length, width] : [layers.length, copies, width];
  return {
    activations: encodeTensor(values, shape),
    layer_indices: layers.map(blockIndex),
    scale: 1,
    norm_match: false,
    position_indices: where,
  };
}

function addTo(
  byPositions: Map<Positions, Map<number, Float64Array>>,
  { direction, add, positions }: Edit,
  layer: number,
  width: number,
): void {
  const layers = byPositions.get(positions) ?? new Map<number, Float64Array>();
  byPositions.set(positions, layers);
  const sum = layers.get(layer) ?? new Float64Array(width);
  layers.set(layer, sum);
  for (let i = 0; i < width; i++) sum[i] = sum[i]! + add * direction[i]!;
}

/** Where edits act, counted from the row's first token; those that are still to come are part of the reply. */
function indicesOf(positions: Positions, places: readonly TokenPlace[], newTokens: number): number[] {
  const given = places.filter((place) => covers(positions, place, null)).map((place) => place.index);
  const coming = Array.from({ length: newTokens }, (_, i) => places.length + i);
  return positions === 'prompt' ? given : [...given, ...coming];
}

/** New tokens of the requests by which a server is tried; the last is not fed. */
const TRIAL_TOKENS = 3;

/**
 * Tries whether the server counts layers and positions as it should: it must give L layers of the right width, and a vector that
 * is added after one block must be found after it and not before. Where one is added at the first new token alone, it must be
 * found there and nowhere else; some versions do not do that (1.2 takes every new token for the row's first), and then
 * positions are not used.
 *
 * @throws UsageError where residual streams or additions are not what they should be.
 */
async function checkContract(
  completions: Completions,
  lens: VllmLens,
  { layers, prompt }: Parameters<OpenProtocol>[1],
): Promise<boolean> {
  const all = Array.from({ length: layers }, (_, i) => i + 1);
  const tokens = prompt.length + TRIAL_TOKENS - 1;
  const run = async (vectors: readonly object[], wanted: readonly number[]): Promise<Residuals> => {
    const { answer } = await completions.complete({
      ids: prompt,
      maxTokens: TRIAL_TOKENS,
      ignoreEos: true,
      extra: lens.capture(steeringKeys(vectors), wanted),
    });
    return lens.residuals(answer, all, tokens);
  };
  // One index more than there are blocks: a server that counts from the embeddings would give one layer more.
  const plain = await run([], [...all, layers + 1]);
  const layer = Math.ceil(layers / 2);
  const direction = pattern(plain.layer(layer), tokens);
  const moved = async (where: readonly number[] | null): Promise<(at: number) => number[]> => {
    const steered = await run([steeringVector(new Map([[layer, direction]]), where)], all);
    return (at) => along(steered.layer(at), plain.layer(at), direction);
  };
  const everywhere = await moved(null);
  // What is generated may be another text once it is steered, so that prompts alone can be compared.
  const [own, earlier] = [layer, layer - 1].map((at) =>
    at === 0 ? [] : everywhere(at).slice(0, prompt.length),
  );
  if (!own!.every((share) => near(share, 1)) || !earlier!.every((share) => near(share, 0)))
    throw otherContract(completions.id, layer, own!, earlier!);
  const first = (await moved([prompt.length]))(layer).slice(0, prompt.length + 1);
  return first.every((share, i) => near(share, i === prompt.length ? 1 : 0));
}

/** Numbers in bfloat16, and products in another order, are off by some hundredths. */
const TOLERANCE = 0.25;
function near(value: number, expected: number): boolean {
  return Math.abs(value - expected) < TOLERANCE;
}

/** Alternating signs, which no model's own directions are, twice as long as the residual streams `[tokens, width]`. */
function pattern(residuals: Float32Array, tokens: number): Float32Array {
  const size = 2 * Math.sqrt(dot(residuals, residuals) / residuals.length);
  return Float32Array.from({ length: residuals.length / tokens }, (_, i) =>
    ((i * 7) >> 2) % 2 === 0 ? size : -size,
  );
}

/** By token: how far it has moved along the vector, as a share of the vector's length. */
function along(after: Float32Array, before: Float32Array, direction: Float32Array): number[] {
  const width = direction.length;
  const length = dot(direction, direction);
  return Array.from({ length: after.length / width }, (_, i) => {
    const moved = after.slice(i * width, (i + 1) * width).map((x, k) => x - before[i * width + k]!);
    return dot(moved, direction) / length;
  });
}

function withoutPlugin(id: string): UsageError {
  return new UsageError(
    `Expected ${id} to give residual streams, got an answer without "activations"; install vllm-lens beside vLLM (pip install vllm-lens) and start the server without VLLM_LENS_DISABLE.`,
    { details: { model: id } },
  );
}

function otherContract(
  id: string,
  layer: number,
  own: readonly number[],
  earlier: readonly number[],
): UsageError {
  const shares = (list: readonly number[]): string => list.map((share) => share.toFixed(2)).join(', ');
  return new UsageError(
    `Expected a vector that ${id} adds after block ${layer} to be found there and not before, got shares of ${shares(own)} there and ${shares(earlier)} one block earlier; its version may count layers otherwise.`,
    { details: { model: id, layer } },
  );
}
