/** Numbers that Hugging Face transformers computed from tiny random models, one folder a family. */

import type { Intervention, Pooling } from '../../src/engine/types.ts';
import {
  floatTensor,
  readSafetensors,
  type SafetensorsContent,
} from '../../src/model/safetensors-content.ts';
import { sharedPath } from './shared.ts';

/** Families of the golden data that the engine runs. */
export const goldenFamilies = [
  'llama',
  'qwen2',
  'qwen3',
  'mistral',
  'gemma2',
  'gemma3_text',
  'phi3',
  'olmo2',
] as const;
export type GoldenFamily = (typeof goldenFamilies)[number];
/** Those that also hold LoRA adapters. */
export const adapterFamilies = ['llama', 'qwen2'] as const;

/** One row without its padding. */
export interface GoldenRow {
  readonly ids: readonly number[];
  readonly responseStart: number;
  /** `[layer][tokens, width]`, entry 0 = layer 1. */
  readonly layers: readonly Float32Array[];
  /** `[tokens, vocabulary]`. */
  readonly logits: Float32Array;
  /** `[tokens]`. */
  readonly nll: Float32Array;
  /** `[L, width]`, row 0 = layer 1. */
  readonly pooled: Readonly<Record<Exclude<Pooling, 'boundary_mean'>, Float32Array>>;
}

/** A greedy continuation under interventions that act at every position. */
export interface GoldenGreedy {
  readonly name: GreedyName;
  readonly prompt: readonly number[];
  readonly interventions: readonly Intervention[];
  readonly tokens: readonly number[];
  /** `[24, vocabulary]`. */
  readonly logits: Float32Array;
}

export interface Golden {
  readonly folder: string;
  readonly rows: readonly GoldenRow[];
  readonly greedy: readonly GoldenGreedy[];
}

/** Tokens of the first row that the greedy cases continue. */
const greedyPrompt = 12;

/** What the greedy cases are called. */
export const greedyNames = ['plain', 'add', 'add_all_layers', 'ablate', 'cap', 'floor'] as const;
type GreedyName = (typeof greedyNames)[number];

/** Reads one family's numbers; the model lies in `folder`. */
export async function readGolden(family: GoldenFamily): Promise<Golden> {
  const folder = sharedPath('golden', family);
  const content = await readSafetensors(`${folder}/golden.safetensors`);
  const rows = integers(content, 'response_start').map((start, row) => readRow(content, row, start));
  const prompt = rows[0]!.ids.slice(0, greedyPrompt);
  const interventions = greedyInterventions(content);
  const greedy = greedyNames.map((name) => ({
    name,
    prompt,
    interventions: interventions[name],
    tokens: integers(content, `greedy.${name}.tokens`),
    logits: floatTensor(content, `greedy.${name}.logits`).data,
  }));
  return { folder, rows, greedy };
}

function readRow(content: SafetensorsContent, row: number, responseStart: number): GoldenRow {
  const [, layers, padded, width] = floatTensor(content, 'resid_post').shape as [
    number,
    number,
    number,
    number,
  ];
  const here = (name: string): Float32Array => part(content, name, [row]);
  const mask = integers(content, 'attention_mask').slice(row * padded, (row + 1) * padded);
  const tokens = mask.filter((one) => one === 1).length;
  const vocabulary = here('logits').length / padded;
  return {
    ids: integers(content, 'input_ids').slice(row * padded, row * padded + tokens),
    responseStart,
    layers: Array.from({ length: layers }, (_, block) =>
      part(content, 'resid_post', [row, block]).subarray(0, tokens * width),
    ),
    logits: here('logits').subarray(0, tokens * vocabulary),
    nll: here('response_nll').subarray(0, tokens),
    pooled: {
      response_mean: here('response_mean'),
      prompt_mean: here('prompt_mean'),
      prompt_last: here('prompt_last'),
    },
  };
}

function greedyInterventions(content: SafetensorsContent): Record<GreedyName, Intervention[]> {
  const [layers] = floatTensor(content, 'steer_vector').shape as [number, number];
  const constant = (name: string): number => Number(content.metadata.get(name));
  const target = (block: number): { layer: number; vector: Float32Array } => ({
    layer: block + 1,
    vector: part(content, 'steer_vector', [block]),
  });
  const block = constant('steer_layer');
  const blocks = Array.from({ length: layers }, (_, i) => i);
  return {
    plain: [],
    add: [{ ...target(block), coef: constant('steer_coef') }],
    add_all_layers: blocks.map((i) => ({ ...target(i), coef: constant('all_layers_coef') })),
    ablate: blocks.map((i) => ({ ...target(i), ablate: true })),
    cap: blocks.map((i) => ({ ...target(i), max: constant('cap') })),
    floor: blocks.map((i) => ({ ...target(i), min: constant('floor') })),
  };
}

/** The part of a float tensor at `index` along its first axes. */
function part(content: SafetensorsContent, name: string, index: readonly number[]): Float32Array {
  const { shape, data } = floatTensor(content, name);
  let offset = 0;
  let size = data.length;
  for (const [axis, at] of index.entries()) {
    size /= shape[axis]!;
    offset += at * size;
  }
  return data.subarray(offset, offset + size);
}

function integers(content: SafetensorsContent, name: string): number[] {
  const data = content.tensors.get(name)?.data;
  if (data instanceof BigInt64Array) return Array.from(data, Number);
  throw new TypeError(`expected int64 numbers in "${name}"`);
}
