import { copyFile, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { loadCheckpoint } from './checkpoint.ts';
import { checkpointFingerprint } from './fingerprint.ts';
import { readWeight } from './read-weights.ts';
import { floatTensor, readSafetensors } from './safetensors-content.ts';
import { editJson } from '../../test/helpers/edit-checkpoint.ts';
import { goldenFamilies } from '../../test/helpers/golden.ts';
import { writeRandomModel } from '../../test/helpers/random-model.ts';
import type { RandomShape } from '../../test/helpers/random-model.ts';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ModelError, ParseError, UsageError } from '../errors.ts';

const shape: RandomShape = {
  family: 'qwen3',
  vocabSize: 12,
  width: 8,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headSize: 6,
  mlpWidth: 10,
  tied: true,
  maxPositions: 32,
  ropeTheta: 1e4,
};

async function writeModel(shardBytes?: number): Promise<string> {
  const folder = await temporaryFolder();
  const sharding = shardBytes === undefined ? {} : { shardBytes };
  await writeRandomModel(folder, shape, { seed: 1, dtype: 'BF16', ...sharding });
  return folder;
}

describe('loadCheckpoint', () => {
  it('opens a folder that has no tokenizer and no template', async () => {
    const folder = await writeModel();
    const checkpoint = await loadCheckpoint(folder);
    expect(checkpoint).toMatchObject({
      folder,
      id: basename(folder),
      revision: null,
      tokenizer: null,
      chatTemplate: null,
      unusedTensors: [],
    });
    expect(checkpoint.config).toMatchObject({ modelType: 'qwen3', width: 8, headNorm: 'head' });
    expect(checkpoint.weights.embedding).toMatchObject({ dtype: 'BF16', file: checkpoint.weightFiles[0] });
  });

  it('gives the same weights whole and in shards', async () => {
    const [whole, sharded] = [
      await loadCheckpoint(await writeModel()),
      await loadCheckpoint(await writeModel(300)),
    ];
    expect(whole.weightFiles).toHaveLength(1);
    expect(sharded.weightFiles.length).toBeGreaterThan(2);
    for (const layer of [0, 1]) {
      const [a, b] = [whole, sharded].map(
        ({ weights }) => weights.blocks[layer]!.projections.down_proj.weight,
      );
      expect(await readWeight(a!)).toEqual(await readWeight(b!));
    }
  });

  it('opens a model of the Hub cache by name, and names the blobs themselves', async () => {
    const cache = await temporaryFolder();
    vi.stubEnv('HF_HUB_CACHE', cache);
    const commit = '0123456789abcdef0123456789abcdef01234567';
    const repo = join(cache, 'models--acme--tiny');
    const snapshot = join(repo, 'snapshots', commit);
    for (const folder of ['blobs', 'refs', join('snapshots', commit)]) {
      await mkdir(join(repo, folder), { recursive: true });
    }
    await writeFile(join(repo, 'refs', 'main'), commit);
    const folder = await writeModel();
    for (const name of ['config.json', 'model.safetensors']) {
      await rename(join(folder, name), join(repo, 'blobs', `of-${name}`));
      await symlink(join('..', '..', 'blobs', `of-${name}`), join(snapshot, name));
    }
    const checkpoint = await loadCheckpoint('acme/tiny').finally(() => vi.unstubAllEnvs());
    expect(checkpoint).toMatchObject({ folder: snapshot, id: 'acme/tiny', revision: commit });
    expect(checkpoint.weights.finalNorm.file).toMatch(/blobs.of-model\.safetensors$/);
    expect(checkpoint.weightFiles).toEqual([checkpoint.weights.finalNorm.file]);
  });

  it('says that there is no configuration, or that it does not fit the weights', async () => {
    const folder = await writeModel();
    await editJson(folder, 'config.json', { hidden_size: 16 });
    await expect(loadCheckpoint(folder)).rejects.toThrow(
      /of shape \[12, 16\] by config\.json, got \[12, 8\]/,
    );
    await editJson(folder, 'config.json', { model_type: 'mamba' });
    await expect(loadCheckpoint(folder)).rejects.toThrow(/a model_type of llama, .*, got "mamba"/);
    await writeFile(join(folder, 'config.json'), '{"model_type":"qwen3",');
    await expect(loadCheckpoint(folder)).rejects.toThrow(ParseError);
    await rm(join(folder, 'config.json'));
    await expect(loadCheckpoint(folder)).rejects.toThrow(ModelError);
    await expect(loadCheckpoint(folder)).rejects.toThrow(
      /Expected config\.json in ".*", got none; name a folder/,
    );
    await writeFile(join(folder, 'model-q8_0.gguf'), '');
    await expect(loadCheckpoint(folder)).rejects.toThrow(
      /got none; for the model in its GGUF file name the file, ".*model-q8_0\.gguf"/,
    );
    await expect(loadCheckpoint(join(folder, 'none'))).rejects.toThrow(UsageError);
    await expect(loadCheckpoint(join(folder, 'model.safetensors'))).rejects.toThrow(/got the file/);
  });

  it('says that the weights are cut short', async () => {
    const folder = await writeModel();
    const file = join(folder, 'model.safetensors');
    await truncate(file, (await readFile(file)).length - 1);
    await expect(loadCheckpoint(folder)).rejects.toThrow(ParseError);
    await expect(loadCheckpoint(folder)).rejects.toThrow(
      /its data end at byte \d+ of a file of \d+ bytes; download/,
    );
  });

  it('says that the weights became shorter after it was opened', async () => {
    const folder = await writeModel();
    const { weights } = await loadCheckpoint(folder);
    await truncate(weights.embedding.file, 100);
    await expect(readWeight(weights.finalNorm)).rejects.toThrow(ParseError);
    await expect(readWeight(weights.finalNorm)).rejects.toThrow(
      /ends before byte \d+, so it changed after it was opened/,
    );
  });

  it('keeps its fingerprint in another folder', async () => {
    const [folder, copy] = [await writeModel(), await temporaryFolder()];
    for (const name of ['config.json', 'model.safetensors']) {
      await copyFile(join(folder, name), join(copy, name));
    }
    const [a, b] = [await loadCheckpoint(folder), await loadCheckpoint(copy)];
    expect(await checkpointFingerprint(a)).toBe(await checkpointFingerprint(b));
  });
});

describeWithShared('checkpoints that Hugging Face wrote', () => {
  it.each(goldenFamilies)('loads all weights of golden %s', async (family) => {
    const folder = sharedPath('golden', family);
    const { config, weights, unusedTensors } = await loadCheckpoint(folder);
    expect(config).toMatchObject({ modelType: family, layers: 4, width: 64, heads: 4, kvHeads: 2 });
    expect(unusedTensors).toEqual([]);
    expect(weights.head === weights.embedding).toBe(config.tiedEmbeddings);
    const content = await readSafetensors(join(folder, 'model.safetensors'));
    const read = await readWeight(weights.blocks[3]!.projections.v_proj.weight);
    const attention = 'model.layers.3.self_attn';
    const expected =
      family === 'phi3'
        ? floatTensor(content, `${attention}.qkv_proj.weight`).data.slice(-read.length)
        : floatTensor(content, `${attention}.v_proj.weight`).data;
    expect(read).toEqual(expected);
  });

  it('loads TinyStories-656K, whose embedding is an alias of its head', async () => {
    const { id, config, weights, unusedTensors } = await loadCheckpoint(
      sharedPath('data/models/TinyStories-656K'),
    );
    expect(id).toBe('TinyStories-656K');
    expect(config).toMatchObject({ tiedEmbeddings: true, vocabSize: 2048, headSize: 16, maxPositions: 512 });
    expect(weights.embedding.name).toBe('lm_head.weight');
    expect(weights.head).toBe(weights.embedding);
    expect(unusedTensors).toEqual([]);
  });
});
