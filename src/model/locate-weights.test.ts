import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from './config.ts';
import type { ModelConfig } from './config.ts';
import type { JsonObject } from './json-text.ts';
import { layerName, locateWeights } from './locate-weights.ts';
import type { LocatedWeights } from './locate-weights.ts';
import { readWeight } from './read-weights.ts';
import type { TensorToWrite } from './safetensors-writer.ts';
import { findWeightFiles } from './weight-files.ts';
import { projections, weightSources } from './weights.ts';
import { editJson, editTensors } from '../../test/helpers/edit-checkpoint.ts';
import { randomFamilies, writeRandomModel } from '../../test/helpers/random-model.ts';
import type { RandomShape } from '../../test/helpers/random-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ModelError } from '../errors.ts';

const shape: RandomShape = {
  family: 'llama',
  vocabSize: 12,
  width: 8,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headSize: 6,
  mlpWidth: 10,
  tied: false,
  maxPositions: 32,
  ropeTheta: 1e4,
};
type Edit = (tensors: readonly TensorToWrite[]) => readonly TensorToWrite[];

async function writeModel(changes: Partial<RandomShape> = {}): Promise<string> {
  const folder = await temporaryFolder();
  await writeRandomModel(folder, { ...shape, ...changes }, { seed: 1, dtype: 'F32' });
  return folder;
}

async function readConfig(folder: string): Promise<ModelConfig> {
  const json = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as JsonObject;
  return parseConfig(json, 'config.json');
}

async function locate(folder: string): Promise<LocatedWeights> {
  return locateWeights(await findWeightFiles(folder), await readConfig(folder));
}

async function editModel(folder: string, edit: Edit, metadata: Record<string, string> = {}): Promise<void> {
  await editTensors(join(folder, 'model.safetensors'), edit, metadata);
}

const without =
  (name: string): Edit =>
  (tensors) =>
    tensors.filter((tensor) => tensor.name !== name);
const renamed =
  (from: string, to: string): Edit =>
  (tensors) =>
    tensors.map((tensor) => (tensor.name === from ? { ...tensor, name: to } : tensor));

describe('locateWeights', () => {
  it.each(randomFamilies)('uses every tensor of a checkpoint of %s', async (family) => {
    const { weights, unusedTensors } = await locate(await writeModel({ family }));
    expect(unusedTensors).toEqual([]);
    const names = weightSources(weights).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('finds the norms of a family that has four a block', async () => {
    const block = (await locate(await writeModel({ family: 'gemma2' }))).weights.blocks[1]!;
    const norms = [block.attentionNorm, block.attentionOutNorm, block.mlpNorm, block.mlpOutNorm];
    expect(norms.map((norm) => norm?.name)).toEqual(
      ['input', 'post_attention', 'pre_feedforward', 'post_feedforward'].map(
        (name) => `model.layers.1.${name}_layernorm.weight`,
      ),
    );
  });

  it('cuts a matrix that several projections share into their rows', async () => {
    const { weights } = await locate(await writeModel({ family: 'phi3' }));
    const { q_proj: q, k_proj: k, v_proj: v } = weights.blocks[0]!.projections;
    const name = 'model.layers.0.self_attn.qkv_proj.weight';
    expect([q, k, v].map(({ weight }) => weight.name)).toEqual([
      `${name}.q_proj`,
      `${name}.k_proj`,
      `${name}.v_proj`,
    ]);
    expect([q, k, v].map(({ weight }) => weight.shape)).toEqual([
      [12, 8],
      [6, 8],
      [6, 8],
    ]);
    expect(k.weight.offset).toBe(q.weight.offset + 12 * 8 * 4);
    expect(v.weight.offset).toBe(k.weight.offset + 6 * 8 * 4);
  });

  it.each(['llama', 'qwen2', 'qwen3', 'mistral'] as const)(
    'finds each weight of %s by its name',
    async (family) => {
      const { weights } = await locate(await writeModel({ family }));
      const block = weights.blocks[1]!;
      expect(weights.blocks).toHaveLength(2);
      expect(block.attentionNorm?.name).toBe('model.layers.1.input_layernorm.weight');
      expect(block.mlpNorm?.name).toBe('model.layers.1.post_attention_layernorm.weight');
      for (const name of projections) {
        const part = name.endsWith('o_proj') || /^[qkv]_/.test(name) ? 'self_attn' : 'mlp';
        expect(block.projections[name].weight.name).toBe(`model.layers.1.${part}.${name}.weight`);
      }
      expect(block.projections.down_proj.weight.shape).toEqual([8, 10]);
      expect(block.projections.k_proj.weight.shape).toEqual([6, 8]);
      expect(block.projections.k_proj.bias?.name).toBe(
        family === 'qwen2' ? 'model.layers.1.self_attn.k_proj.bias' : undefined,
      );
      expect(block.projections.o_proj.bias).toBeNull();
      expect(block.queryNorm?.shape).toEqual(family === 'qwen3' ? [6] : undefined);
      expect(block.keyNorm?.name).toBe(
        family === 'qwen3' ? 'model.layers.1.self_attn.k_norm.weight' : undefined,
      );
      expect(weights.head).not.toBe(weights.embedding);
    },
  );

  it("takes llama's biases where the configuration has them", async () => {
    const { weights, unusedTensors } = await locate(await writeModel({ attentionBias: true, mlpBias: true }));
    expect(unusedTensors).toEqual([]);
    for (const name of projections) {
      const { weight, bias } = weights.blocks[0]!.projections[name];
      expect(bias?.shape).toEqual([weight.shape[0]]);
    }
  });

  const [embedding, head] = ['model.embed_tokens.weight', 'lm_head.weight'];
  it.each<[string, string, string, Record<string, string>]>([
    ['the embedding alone', head, embedding, {}],
    ['the head alone', embedding, head, {}],
    ['the head, named by an alias', embedding, head, { [embedding]: head }],
    ['the embedding, named by an alias', head, embedding, { [head]: embedding }],
    ['the head, named the other way round', embedding, head, { [head]: embedding }],
  ])('ties the head to the embedding where the file has %s', async (_, absent, present, metadata) => {
    const folder = await writeModel();
    await editJson(folder, 'config.json', { tie_word_embeddings: true });
    await editModel(folder, without(absent), { format: 'pt', ...metadata });
    const { weights, unusedTensors } = await locate(folder);
    expect(weights.embedding.name).toBe(present);
    expect(weights.head).toBe(weights.embedding);
    expect(unusedTensors).toEqual([]);
  });

  it('ties to the embedding where both are there, and says that the head is unused', async () => {
    const folder = await writeModel();
    await editJson(folder, 'config.json', { tie_word_embeddings: true });
    const { weights, unusedTensors } = await locate(folder);
    expect(weights.head).toBe(weights.embedding);
    expect(weights.embedding.name).toBe(embedding);
    expect(unusedTensors).toEqual([head]);
  });

  it.each<[string, Record<string, string>]>([
    ['the head as the alias', { [head]: embedding }],
    ['the embedding as the alias', { [embedding]: head }],
  ])('gives one object where the embeddings are not tied and the file names %s', async (_, metadata) => {
    const folder = await writeModel();
    await editModel(folder, without(head), metadata);
    const { weights } = await locate(folder);
    expect(weights.head).toBe(weights.embedding);
  });

  it('asks for the head where the embeddings are not tied', async () => {
    const folder = await writeModel();
    await editModel(folder, without(head));
    await expect(locate(folder)).rejects.toThrow(ModelError);
    await expect(locate(folder)).rejects.toThrow(
      /Expected tensor "lm_head\.weight" in .* got \d+ tensors without it/,
    );
  });

  const down = 'model.layers.1.mlp.down_proj.weight';
  it.each<[string, Edit, RegExp]>([
    ['a missing tensor', without(down), /Expected tensor "model\.layers\.1\.mlp\.down_proj\.weight" in /],
    [
      'a tensor under another name',
      renamed(down, 'mlp.down'),
      /Expected tensor "model\.layers\.1\.mlp\.down_proj/,
    ],
    [
      'a transposed matrix',
      (tensors) => tensors.map((t) => (t.name === down ? { ...t, shape: t.shape.toReversed() } : t)),
      /tensor "model\.layers\.1\.mlp\.down_proj\.weight" of shape \[8, 10\] by config\.json, got \[10, 8\]/,
    ],
    [
      'a matrix of one axis',
      (tensors) => tensors.map((t) => (t.name === down ? { ...t, shape: [80] } : t)),
      /of shape \[8, 10\] by config\.json, got \[80\]/,
    ],
    [
      'integers',
      (tensors) => tensors.map((t) => (t.name === down ? { ...t, dtype: 'I32' } : t)),
      /of F32, F16 or BF16, got I32; choose a checkpoint that is not quantised/,
    ],
  ])('refuses %s', async (_, edit, message) => {
    const folder = await writeModel();
    await editModel(folder, edit);
    await expect(locate(folder)).rejects.toThrow(ModelError);
    await expect(locate(folder)).rejects.toThrow(message);
  });

  it('lists what it does not use, but for rotary tables', async () => {
    const folder = await writeModel();
    const extra = (name: string): TensorToWrite => ({ name, shape: [1], data: Float32Array.of(0) });
    const names = ['z.adapter', 'model.layers.0.self_attn.rotary_emb.inv_freq', 'a.adapter'];
    await editModel(folder, (tensors) => [...tensors, ...names.map(extra)]);
    expect((await locate(folder)).unusedTensors).toEqual(['a.adapter', 'z.adapter']);
  });
});

describe('layerName', () => {
  it('puts the index of the block into its slot', () => {
    expect(layerName('model.layers.{layer}.norm', 12)).toBe('model.layers.12.norm');
  });
});

describe('readWeight', () => {
  it.each(['F16', 'BF16'] as const)('widens %s to within its rounding', async (dtype) => {
    const [exact, rounded] = [await writeModel(), await temporaryFolder()];
    await writeRandomModel(rounded, shape, { seed: 1, dtype });
    const expected = await readWeight((await locate(exact)).weights.embedding);
    const source = (await locate(rounded)).weights.embedding;
    const actual = await readWeight(source);
    expect(source.dtype).toBe(dtype);
    expect(actual).toHaveLength(12 * 8);
    const relative = dtype === 'F16' ? 2 ** -11 : 2 ** -8;
    // Halves below 2⁻¹⁴ have a fixed step.
    const step = dtype === 'F16' ? 2 ** -25 : 0;
    const wrong = expected.findIndex((x, i) => Math.abs(actual[i]! - x) > Math.abs(x) * relative + step);
    expect(wrong).toBe(-1);
    expect(actual).not.toEqual(expected);
  });
});
