import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { writeGgufTwin } from '../../test/helpers/gguf-twin.ts';
import { namedShapes, writeRandomModel } from '../../test/helpers/random-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ModelError, ParseError } from '../errors.ts';
import { type Checkpoint, loadCheckpoint } from './checkpoint.ts';
import { checkpointFingerprint } from './fingerprint.ts';
import { type GgufEntry, writeGguf } from './gguf-writer.ts';
import { readWeight } from './read-weights.ts';
import { type WeightSource, weightSources } from './weights.ts';

const shipped = (name: string): string => fileURLToPath(new URL(`../../models/${name}`, import.meta.url));

async function twin(name: string, type: 'F32' | 'F16'): Promise<[Checkpoint, Checkpoint]> {
  const path = join(await temporaryFolder(), `${name}.gguf`);
  await writeGgufTwin(shipped(name), path, type);
  return [await loadCheckpoint(shipped(name)), await loadCheckpoint(path)];
}

/** Compared as bytes: millions of numbers take a matcher minutes. */
async function sameNumbers(a: WeightSource, b: WeightSource): Promise<boolean> {
  const [left, right] = await Promise.all([readWeight(a), readWeight(b)]);
  return Buffer.from(left.buffer).equals(Buffer.from(right.buffer));
}

describe('a GGUF file beside the folder that it was made from', () => {
  it.each([
    ['stories260K', 'F32'],
    ['persona-tiny', 'F16'],
  ] as const)('%s: weights, sizes, tokens and ends of a reply are the same', async (name, type) => {
    const [folder, file] = await twin(name, type);
    const { normEps, ...sizes } = file.config;
    expect(sizes).toEqual({ ...folder.config, normEps: undefined });
    expect(normEps).toBeCloseTo(folder.config.normEps, 12);
    const [stored, expected] = [weightSources(file.weights), weightSources(folder.weights)];
    expect(stored.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
    for (const [i, source] of stored.entries()) expect(await sameNumbers(source, expected[i]!)).toBe(true);
    const text = 'Once upon a time, in 1984:\n  "Ünïcode" 🙂 <s> <|im_end|>';
    expect(file.tokenizer!.encodePrompt(text)).toEqual(folder.tokenizer!.encodePrompt(text));
    const ids = file.tokenizer!.encode(text, { special: false });
    expect(ids).toEqual(folder.tokenizer!.encode(text, { special: false }));
    expect(file.tokenizer!.decode(ids)).toBe(folder.tokenizer!.decode(ids));
    expect(file.generation.eosTokenIds).toContain(folder.config.eosTokenIds[0]);
    expect(file.unusedTensors).toEqual([]);
    expect(await checkpointFingerprint(file)).not.toBe(await checkpointFingerprint(folder));
  });

  it('renders chats as the folder does', async () => {
    const [folder, file] = await twin('persona-tiny', 'F16');
    const messages = [{ role: 'user', content: 'Hello!' }] as const;
    const options = { addGenerationPrompt: true };
    expect(file.chatTemplate!.render(messages, options)).toBe(folder.chatTemplate!.render(messages, options));
    expect(new Set(file.generation.eosTokenIds)).toEqual(new Set(folder.generation.eosTokenIds));
  });

  it("recognises Llama 3's scaling by its factors, and refuses other factors", async () => {
    const shape = { ...namedShapes['llama-3.1-8b'], ...small };
    const folder = join(await temporaryFolder(), 'llama');
    await writeRandomModel(folder, shape, { seed: 0, dtype: 'F32' });
    const { rope, headSize } = (await loadCheckpoint(folder)).config;
    const path = join(folder, 'llama.gguf');
    await writeGgufTwin(folder, path, 'F32', { ropeFactors: true });
    expect((await loadCheckpoint(path)).config).toMatchObject({ rope, headSize });
    await writeGgufTwin(folder, path, 'F32', { ropeFactors: Float32Array.of(1, 2, 3, 4) });
    await expect(loadCheckpoint(path)).rejects.toThrow('to be those of Llama 3.1 and later');
  });
});

const small = {
  vocabSize: 64,
  width: 32,
  layers: 1,
  heads: 4,
  kvHeads: 2,
  headSize: 8,
  mlpWidth: 48,
} as const;

describe('a model in several GGUF files', () => {
  it('is named by its first, and missing ones are named', async () => {
    const folder = await temporaryFolder();
    const name = (part: number): string => join(folder, `m-0000${part}-of-00002.gguf`);
    await writeGgufTwin(shipped('stories260K'), name(1), 'F32', { parts: [name(1), name(2)] });
    const whole = await loadCheckpoint(name(1));
    expect(whole.weightFiles).toHaveLength(2);
    const [a, b] = [whole.weights, (await loadCheckpoint(shipped('stories260K'))).weights];
    for (const [i, source] of weightSources(a).entries())
      expect(await sameNumbers(source, weightSources(b)[i]!)).toBe(true);
    await expect(loadCheckpoint(name(2))).rejects.toThrow('name the first');
    await rename(name(2), join(folder, 'elsewhere.gguf'));
    await expect(loadCheckpoint(name(1))).rejects.toThrow('m-00002-of-00002.gguf" beside');
  });
});

describe('what is refused', () => {
  let metadata: Map<string, GgufEntry>;
  let path: string;
  beforeEach(async () => {
    path = join(await temporaryFolder(), 'm.gguf');
    const u32 = (value: number): GgufEntry => ({ type: 'u32', value });
    metadata = new Map<string, GgufEntry>([
      ['general.architecture', { type: 'string', value: 'qwen2' }],
      ['qwen2.block_count', u32(1)],
      ['qwen2.context_length', u32(64)],
      ['qwen2.embedding_length', u32(8)],
      ['qwen2.feed_forward_length', u32(16)],
      ['qwen2.attention.head_count', u32(2)],
      ['qwen2.attention.layer_norm_rms_epsilon', { type: 'f32', value: 1e-6 }],
    ]);
  });

  const embedding = { name: 'token_embd.weight', shape: [4, 8], data: new Float32Array(32) };

  it.each<[string, Readonly<Record<string, GgufEntry>>, string]>([
    [
      'an architecture that nobody knows',
      { 'general.architecture': { type: 'string', value: 'mamba' } },
      'a general.architecture of llama, qwen2, qwen3, got "mamba"; choose a model of one of these families, or add the family',
    ],
    [
      'a family that is read from safetensors alone',
      { 'general.architecture': { type: 'string', value: 'gemma3' } },
      'take the checkpoint in safetensors instead',
    ],
    [
      'a control vector',
      { 'general.architecture': { type: 'string', value: 'controlvector' } },
      'this is a vector',
    ],
    ['experts', { 'qwen2.expert_count': { type: 'u32', value: 8 } }, '"qwen2.expert_count" to be 0, got 8'],
    [
      'rotary embedding of a part',
      { 'qwen2.rope.dimension_count': { type: 'u32', value: 2 } },
      '"qwen2.rope.dimension_count" to be 4, got 2',
    ],
    [
      'YaRN',
      { 'qwen2.rope.scaling.type': { type: 'string', value: 'yarn' } },
      'to be none or linear, got "yarn"',
    ],
    [
      'sizes that cannot be',
      { 'qwen2.embedding_length': { type: 'u32', value: 0 } },
      'expected "qwen2.embedding_length" to be an integer from 1',
    ],
    [
      'another tokenizer',
      { 'tokenizer.ggml.model': { type: 'string', value: 'bert' } },
      'tokenizer.ggml.model to be gpt2 or llama, got bert',
    ],
    [
      'unknown rules for words',
      {
        'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
        'tokenizer.ggml.tokens': { type: 'string', value: ['a'] },
        'tokenizer.ggml.token_type': { type: 'i32', value: [1] },
        'tokenizer.ggml.pre': { type: 'string', value: 'tekken' },
      },
      'tokenizer.ggml.pre to be gpt-2, qwen2, ',
    ],
    [
      'a token that comes twice',
      {
        'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
        'tokenizer.ggml.tokens': { type: 'string', value: ['a', 'a'] },
        'tokenizer.ggml.token_type': { type: 'i32', value: [1, 1] },
      },
      'every token once, got "a" as 0 and 1',
    ],
    [
      'fewer kinds than tokens',
      {
        'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
        'tokenizer.ggml.tokens': { type: 'string', value: ['a', 'b'] },
        'tokenizer.ggml.token_type': { type: 'i32', value: [1] },
      },
      '"tokenizer.ggml.token_type" to be a list of 2, one a token',
    ],
  ])('%s', async (_, entries, message) => {
    await writeGguf(path, new Map([...metadata, ...Object.entries(entries)]), [embedding]);
    await expect(loadCheckpoint(path)).rejects.toThrow(message);
    await expect(loadCheckpoint(path)).rejects.toSatisfy(
      (error) => error instanceof ModelError || error instanceof ParseError,
    );
  });

  it('missing tensors, by the names that the file would have', async () => {
    await writeGguf(path, metadata, [
      embedding,
      { name: 'output_norm.weight', shape: [8], data: new Float32Array(8) },
    ]);
    await expect(loadCheckpoint(path)).rejects.toThrow(
      'Expected tensor "blk.0.attn_q.weight" in "' + path + '" by its metadata, got 2 tensors without it',
    );
  });

  it('tensors of another shape, of an unknown type, and rows of broken blocks', async () => {
    await writeGguf(path, metadata, [
      embedding,
      { name: 'output_norm.weight', shape: [9], data: new Float32Array(9) },
    ]);
    await expect(loadCheckpoint(path)).rejects.toThrow(
      'expected tensor "output_norm.weight" of shape [8] by its metadata, got [9]',
    );
    await writeGguf(path, metadata, [embedding]);
    const bytes = await readFile(path);
    const at = bytes.indexOf('token_embd.weight') + 'token_embd.weight'.length + 4 + 16;
    const patch = async (type: number): Promise<void> => {
      bytes.writeUInt32LE(type, at);
      await writeFile(path, bytes);
    };
    await patch(20);
    await expect(loadCheckpoint(path)).rejects.toThrow('to be one of F32, F16, Q4_0,');
    await expect(loadCheckpoint(path)).rejects.toThrow('got IQ4_NL');
    await patch(8);
    await expect(loadCheckpoint(path)).rejects.toThrow('rows of whole blocks of 32, got 8');
  });

  it('data that lie over each other or beyond the end', async () => {
    const norm = { name: 'output_norm.weight', shape: [8], data: new Float32Array(8) };
    await writeGguf(path, metadata, [embedding, norm]);
    const bytes = await readFile(path);
    const offset = bytes.indexOf('output_norm.weight') + 'output_norm.weight'.length + 4 + 8 + 4;
    const patch = async (value: bigint): Promise<void> => {
      bytes.writeBigUInt64LE(value, offset);
      await writeFile(path, bytes);
    };
    await patch(32n);
    await expect(loadCheckpoint(path)).rejects.toThrow('lie over those of "token_embd.weight"');
    await patch(2n ** 40n);
    await expect(loadCheckpoint(path)).rejects.toThrow("reaches beyond the file's end");
    await patch(33n);
    await expect(loadCheckpoint(path)).rejects.toThrow(/multiple of 32|beyond the file's end/);
  });

  it('a file of another kind', async () => {
    await writeFile(path, 'not a model');
    await expect(loadCheckpoint(path)).rejects.toThrow('a model folder or a GGUF file, got the file');
  });
});
