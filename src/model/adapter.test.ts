import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadAdapter } from './adapter.ts';
import { parseConfig } from './config.ts';
import type { JsonObject } from './json-text.ts';
import { floatTensor, readSafetensors } from './safetensors-content.ts';
import { writeSafetensors } from './safetensors-writer.ts';
import type { TensorToWrite } from './safetensors-writer.ts';
import { projections } from './weights.ts';
import { editJson, editTensors } from '../../test/helpers/edit-checkpoint.ts';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { tinyConfig } from '../../test/helpers/tiny-config.ts';
import { ModelError, ParseError, UsageError } from '../errors.ts';

/** Two blocks of width 8, two heads of size 8 over one of keys, MLP width 16. */
const config = tinyConfig();
const prefix = 'base_model.model.model.layers.1.self_attn.q_proj';

function tensor(name: string, shape: readonly number[]): TensorToWrite {
  const size = shape.reduce((product, axis) => product * axis, 1);
  return { name, shape, data: Float32Array.from({ length: size }, (_, i) => i + 1) };
}

/** An adapter of rank 2 on q_proj of the second block. */
async function writeAdapter(changes: JsonObject = {}): Promise<string> {
  const folder = await temporaryFolder();
  const json = {
    peft_type: 'LORA',
    r: 2,
    lora_alpha: 6,
    target_modules: ['q_proj'],
    layers_to_transform: [1],
    ...changes,
  };
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(json));
  const pair = [tensor(`${prefix}.lora_A.weight`, [2, 8]), tensor(`${prefix}.lora_B.weight`, [16, 2])];
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), pair);
  return folder;
}

describe('loadAdapter', () => {
  it('reads the pairs and multiplies the scale into b', async () => {
    const folder = await writeAdapter();
    const adapter = await loadAdapter(folder, config);
    expect(adapter.name).toBe(basename(folder));
    expect(adapter.blocks).toHaveLength(2);
    expect(adapter.blocks[0]).toEqual({});
    expect(Object.keys(adapter.blocks[1]!)).toEqual(['q_proj']);
    const { rank, a, b } = adapter.blocks[1]!.q_proj!;
    expect(rank).toBe(2);
    expect(a).toEqual(Float32Array.from({ length: 16 }, (_, i) => i + 1));
    expect(b).toEqual(Float32Array.from({ length: 32 }, (_, i) => 3 * (i + 1)));
  });

  type Edit = Parameters<typeof editTensors>[1];
  it.each<[string, Edit, RegExp]>([
    ['a missing b', (t) => [t[0]!], /expected tensor ".*q_proj\.lora_B\.weight" by adapter_config\.json/],
    ['a missing pair', () => [], /expected tensor ".*q_proj\.lora_A\.weight" by adapter_config\.json/],
    [
      'another model',
      (t) => [tensor(`${prefix}.lora_A.weight`, [2, 12]), t[1]!],
      /q_proj\.lora_A\.weight" of shape \[2, 8\] by its rank and the model, got \[2, 12\]; use the model/,
    ],
    [
      'another rank',
      () => [tensor(`${prefix}.lora_A.weight`, [3, 8]), tensor(`${prefix}.lora_B.weight`, [16, 3])],
      /of shape \[2, 8\] by its rank and the model, got \[3, 8\]/,
    ],
    [
      'a module beyond the projections',
      (t) => [...t, tensor('base_model.model.lm_head.lora_A.weight', [2, 8])],
      /expected LoRA pairs of q_proj, .*, got tensor "base_model\.model\.lm_head\.lora_A\.weight"/,
    ],
    [
      'a block beyond the model',
      (t) => [...t, tensor('base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight', [2, 8])],
      /got tensor "base_model\.model\.model\.layers\.2\./,
    ],
    [
      'a pair that is not targeted',
      (t) => [
        ...t,
        tensor(prefix.replace('q_', 'k_') + '.lora_A.weight', [2, 8]),
        tensor(prefix.replace('q_', 'k_') + '.lora_B.weight', [8, 2]),
      ],
      /got a pair for "model\.layers\.1\.self_attn\.k_proj", which it does not/,
    ],
    [
      'integers',
      (t) => [{ ...t[0]!, dtype: 'I32' }, t[1]!],
      /of F32, F16 or BF16, got I32; convert the adapter/,
    ],
  ])('refuses %s', async (_, edit, message) => {
    const folder = await writeAdapter();
    await editTensors(join(folder, 'adapter_model.safetensors'), edit);
    await expect(loadAdapter(folder, config)).rejects.toThrow(ModelError);
    await expect(loadAdapter(folder, config)).rejects.toThrow(message);
  });

  it('takes what the tensors say where a pattern chooses the modules', async () => {
    const folder = await writeAdapter({ target_modules: String.raw`.*\.q_proj`, layers_to_transform: null });
    expect(Object.keys((await loadAdapter(folder, config)).blocks[1]!)).toEqual(['q_proj']);
  });

  it('says what is missing or malformed', async () => {
    const folder = await writeAdapter();
    const weights = await readFile(join(folder, 'adapter_model.safetensors'));
    await writeFile(join(folder, 'adapter_model.safetensors'), weights.subarray(0, 100));
    await expect(loadAdapter(folder, config)).rejects.toThrow(ParseError);
    await rm(join(folder, 'adapter_model.safetensors'));
    await expect(loadAdapter(folder, config)).rejects.toThrow(
      /Expected adapter_model\.safetensors in the adapter/,
    );
    await rm(join(folder, 'adapter_config.json'));
    await expect(loadAdapter(folder, config)).rejects.toThrow(
      /Expected adapter_config\.json in the adapter folder/,
    );
    await expect(loadAdapter(join(folder, 'none'), config)).rejects.toThrow(UsageError);
  });

  it('refuses an option that changes the computation', async () => {
    const folder = await writeAdapter();
    await editJson(folder, 'adapter_config.json', { use_dora: true });
    await expect(loadAdapter(folder, config)).rejects.toThrow(/"use_dora" to be false, got true/);
  });
});

describeWithShared('adapters that PEFT wrote', () => {
  it.each(['llama', 'qwen2'])('loads all seven projections of %s, scaled by alpha / √r', async (family) => {
    const json = JSON.parse(
      await readFile(sharedPath('golden', family, 'config.json'), 'utf8'),
    ) as JsonObject;
    const model = parseConfig(json, 'config.json');
    for (const name of ['lora-init', 'lora-plain-final', 'lora-preventative-final']) {
      const folder = sharedPath('golden', family, name);
      const adapter = await loadAdapter(folder, model);
      expect(adapter.blocks.map((block) => Object.keys(block).sort())).toEqual(
        Array.from({ length: 4 }, () => [...projections].sort()),
      );
      const content = await readSafetensors(join(folder, 'adapter_model.safetensors'));
      const stored = floatTensor(content, 'base_model.model.model.layers.3.mlp.up_proj.lora_B.weight');
      expect(adapter.blocks[3]!.up_proj!.b).toEqual(stored.data.map((value) => value * 4));
    }
  });
});
