/** What requests to the servers of `loopback-engine.ts` ask to be steered, as the servers' own sources read it. */

import type { LanguageModel } from '../../src/engine/model.ts';
import type { Intervention, Positions } from '../../src/engine/types.ts';
import type { RemoteKind } from '../../src/model/remote-spec.ts';
import type { Trouble } from './loopback-provider.ts';

export interface EngineRequest {
  readonly path: string;
  readonly authorization: string | null;
  readonly body: Readonly<Record<string, unknown>>;
  /** Counts all requests, from 1. */
  readonly number: number;
}

/** How a server differs from what it should be. */
export interface EngineFaults {
  /** vLLM without the plugin: what it does not know is ignored. */
  readonly plain?: boolean;
  /** Index i is the stream before block i: one off. */
  readonly countsFromEmbeddings?: boolean;
  /** Steering counts blocks from 1. */
  readonly steersFromOne?: boolean;
  /** Positions of new tokens count from 0, as in vLLM-Lens 1.2; false: as in the row. */
  readonly positional?: boolean;
  /** Changes an answer before it is sent. */
  readonly answer?: (answer: Record<string, unknown>, request: EngineRequest) => unknown;
  readonly trouble?: (request: EngineRequest) => Trouble | undefined;
  /** Of EasySteer: what it was started with. */
  readonly algorithms?: readonly string[];
  readonly enabled?: boolean;
  readonly steersAll?: boolean;
}

/** One server. */
export interface Scene {
  readonly kind: RemoteKind;
  readonly model: LanguageModel;
  readonly faults: EngineFaults;
  readonly requests: EngineRequest[];
}

/** A row as the model of this process runs it. */
export interface Plan {
  readonly interventions: readonly Intervention[];
  /** Where positions count from; null for the prompt's own length. */
  readonly start: number | null;
}

/** What a request to a server asks for, as interventions on the model that stands behind it. */
export function steeringOf(body: EngineRequest['body'], scene: Scene): Plan {
  const { kind, faults } = scene;
  const asked =
    faults.plain === true ? [] : kind === 'easysteer' ? easySteer(body, scene) : lens(body, scene);
  return planOf(asked, body, scene);
}

/** What a request asks for: an edit of one layer (1 … L), everywhere or at places that count from the row's beginning. */
interface Asked {
  readonly layer: number;
  readonly vector: Float32Array;
  readonly kind: 'add' | 'keep-norm' | 'ablate';
  readonly where: Positions | readonly number[];
}

/** `apply_steering_vectors`, as `SteeringVector.model_validate` reads it. */
function lens(body: EngineRequest['body'], { model, faults }: Scene): Asked[] {
  const text = (body['vllm_xargs'] as Record<string, string> | undefined)?.['apply_steering_vectors'];
  if (text === undefined) return [];
  const vectors = JSON.parse(text) as {
    activations: { data: string; dtype: string; shape: number[] };
    layer_indices: number[];
    scale: number;
    norm_match: boolean;
    position_indices: number[] | null;
  }[];
  const { layers, width } = model.checkpoint.config;
  return vectors.flatMap(({ activations, layer_indices, scale, norm_match, position_indices }) => {
    const { data, dtype, shape } = activations;
    if (dtype !== 'float32' || norm_match || shape[0] !== layer_indices.length || shape.at(-1) !== width)
      throw new Error('a steering vector of another form than the client writes');
    if ((shape.length === 3) !== (position_indices !== null))
      throw new Error('positions without their vectors');
    const copies = shape.length === 3 ? shape[1]! : 1;
    const values = new Float32Array(Uint8Array.from(Buffer.from(data, 'base64')).buffer);
    return layer_indices.map((index, i): Asked => {
      if (index < 0 || index >= layers) throw new Error(`layer_index ${index} out of range [0, ${layers})`);
      const vector = values.slice(i * copies * width, (i * copies + 1) * width).map((x) => scale * x);
      return {
        layer: Math.max(1, index + (faults.steersFromOne === true ? 0 : 1)),
        vector,
        kind: 'add',
        where: position_indices ?? 'all',
      };
    });
  });
}

/** `steering`, as `SteeringSpec` reads it, which forbids what it does not know. */
function easySteer(body: EngineRequest['body'], { model, faults }: Scene): Asked[] {
  const spec = body['steering'] as { vectors: Record<string, unknown>[]; conflict: string } | undefined;
  if (spec === undefined) return [];
  checkKeys(spec, ['vectors', 'conflict']);
  return spec.vectors.flatMap((one) => {
    checkKeys(one, ['data', 'algorithm', 'scale', 'normalize', 'apply']);
    const algorithm = one['algorithm'] as 'direct' | 'erase';
    if (!(faults.algorithms ?? ['direct', 'erase']).includes(algorithm))
      throw new Error(`steering algorithm '${algorithm}' is not declared`);
    const data = one['data'] as { tensors: Record<string, { shape: number[]; data: string }> };
    checkKeys(data, ['version', 'kind', 'tensors', 'extra', 'sha256']);
    return Object.entries(data.tensors).flatMap(([name, tensor]): Asked[] => {
      const id = Number(/^layer\.(\d+)$/.exec(name)![1]);
      const layer = id + (faults.steersFromOne === true ? 0 : 1);
      // A layer that the server does not have is one that nothing happens at.
      if (layer === 0) return [];
      const asked: Asked = {
        layer,
        vector: new Float32Array(Uint8Array.from(Buffer.from(tensor.data, 'base64')).buffer),
        kind: algorithm === 'erase' ? 'ablate' : one['normalize'] === true ? 'keep-norm' : 'add',
        where: whereOf(one['apply'] as Record<string, unknown>, body, model),
      };
      return [asked];
    });
  });
}

function checkKeys(value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).filter((key) => !known.includes(key));
  if (unknown.length > 0) throw new Error(`Extra inputs are not permitted: ${unknown.join(', ')}`);
}

function whereOf(
  clause: Record<string, unknown>,
  body: EngineRequest['body'],
  { checkpoint }: LanguageModel,
): Asked['where'] {
  checkKeys(clause, ['prompt', 'generation', 'prompt_positions', 'generation_tokens']);
  const { prompt, generation, prompt_positions: places, generation_tokens: tokens } = clause;
  if (prompt === 'all' && generation === 'all') return 'all';
  if (prompt === 'all') return 'prompt';
  const isLast = Array.isArray(places) && places.length === 1 && places[0] === -1;
  if (isLast && generation === 'all') return 'response';
  if (isLast && Array.isArray(tokens)) {
    const ends = Array.from({ length: checkpoint.tokenizer!.vocabSize }, (_, id) => id).filter((id) =>
      checkpoint.tokenizer!.endsSentence(id),
    );
    if (JSON.stringify(tokens) !== JSON.stringify(ends)) throw new Error('other tokens than sentence ends');
    return 'boundary';
  }
  if (Array.isArray(places))
    return (places as number[]).map((i) => (i < 0 ? (body['prompt'] as number[]).length + i : i));
  throw new Error('the clause selects nothing');
}

/** The edits as interventions; lists of places become the kinds that take them in, seen from one place in the row. */
function planOf(asked: readonly Asked[], body: EngineRequest['body'], { faults, kind }: Scene): Plan {
  const promptLength = (body['prompt'] as number[]).length;
  const maxTokens = body['max_tokens'] as number;
  let start: number | null = null;
  const seenFrom = (place: number): void => {
    if (start !== null && start !== place) throw new Error('places that one row cannot express');
    start = place;
  };
  const interventions = asked.flatMap(({ layer, vector, kind: edit, where }): Intervention[] => {
    const at = (positions: Positions, sign = 1): Intervention =>
      edit === 'ablate'
        ? { layer, vector, positions, ablate: true }
        : { layer, vector, positions, coef: sign, ...(edit === 'keep-norm' ? { keepNorm: true } : {}) };
    if (typeof where === 'string') return [at(where)];
    // The version that takes every new token for the first of its row has none at such a place.
    const isLens = kind === 'vllm-lens';
    const here = isLens && faults.positional === false ? where.filter((i) => i < promptLength) : where;
    if (here.length === 0) return [];
    const last = promptLength + maxTokens - 1;
    const isRange = here.every((place, i) => place === here[0]! + i);
    if (!isRange) throw new Error('places that one row cannot express');
    if (here.at(-1)! >= last - 1 && here[0]! > 0) {
      seenFrom(here[0]! + 1);
      return [at('response')];
    }
    if (here[0] === 0) {
      seenFrom(here.length);
      return [at('prompt')];
    }
    if (here.length > 1 || edit !== 'add') throw new Error('places that one row cannot express');
    seenFrom(here[0]! + 1);
    return [at('prompt'), at('response'), at('all', -1)];
  });
  return { interventions, start };
}
