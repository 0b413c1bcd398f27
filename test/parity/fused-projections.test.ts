import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import { loadAdapter, readAdapter } from '../../src/model/adapter.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { readSafetensors } from '../../src/model/safetensors-content.ts';
import { readWeight } from '../../src/model/read-weights.ts';
import { weightSources } from '../../src/model/weights.ts';
import { mergeAdapter } from '../../src/training/merge-adapter.ts';
import type { LoraMethod } from '../../src/training/types.ts';
import { relativeError } from '../helpers/numbers.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { collect, openTinyModel } from '../helpers/tiny-models.ts';
import { openTinyTrainer, randomiseParameters, wholeLoss } from '../helpers/tiny-trainer.ts';
import { randomRows } from '../helpers/training-rows.ts';

const shape = { family: 'phi3', tied: false } as const;
const rows = [{ ids: [5, 3, 8, 1, 9, 2], responseStart: 2 }];

/** Adapters whose scale grows with the rank in both of the ways. */
const methods: Readonly<Record<string, LoraMethod>> = {
  'plain scale': { kind: 'lora', rank: 3, alpha: 6 },
  'rank-stabilised': { kind: 'lora', rank: 3, alpha: 6, rankStabilised: true },
  'q and down only': { kind: 'lora', rank: 2, alpha: 6, targets: ['q_proj', 'down_proj'] },
};

describe('projections that lie in one matrix', () => {
  it.each(Object.entries(methods))('adapters are saved as one pair of them: %s', async (_, method) => {
    const tiny = await openTinyModel({ shape });
    const trainer = await openTinyTrainer({ method }, { shape });
    randomiseParameters(trainer);
    const [folder, merged] = [await temporaryFolder(), join(await temporaryFolder(), 'merged')];
    await trainer.save(folder);
    const stored = await readSafetensors(join(folder, 'adapter_model.safetensors'));
    const fused = method.targets === undefined ? 3 : 1;
    const name = 'base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight';
    expect(stored.tensors.get(name)!.shape).toEqual([fused * method.rank, 24]);
    const adapter = await loadAdapter(folder, tiny.config);
    const trained = await wholeLoss(trainer, randomRows([12, 7], tiny.config.vocabSize, 'fused'));
    expect(trained).toBeGreaterThan(0);

    await mergeAdapter({ model: tiny.folder, adapter: folder, output: merged });
    const whole = await loadModel(merged);
    const options = { logits: 'all' } as const;
    const [plain] = await collect(tiny.model.forward(rows, options));
    const [adapted] = await collect(tiny.model.forward(rows, { ...options, adapter }));
    const [after] = await collect(whole.forward(rows, options));
    expect(relativeError(after!.logits, adapted!.logits!)).toBeLessThan(1e-5);
    expect(relativeError(plain!.logits, adapted!.logits!)).toBeGreaterThan(1e-3);
    await whole.close();
    await tiny.close();
  });

  it('give back what the trainer held, product by product', async () => {
    const method = methods['rank-stabilised'] as Extract<LoraMethod, { kind: 'lora' }>;
    const trainer = await openTinyTrainer({ method }, { shape });
    const tiny = await openTinyModel({ shape });
    randomiseParameters(trainer);
    const folder = await temporaryFolder();
    await trainer.save(folder);
    const { pairs } = await readAdapter(folder, tiny.config);
    const held = new Map(trainer.parameters().map((tensor) => [tensor.name, tensor]));
    expect(pairs).toHaveLength(7 * tiny.config.layers);
    for (const { layer, projection, scale, rank, a, b } of pairs) {
      const inFused = projection !== 'o_proj' && projection !== 'down_proj';
      const part = /^[qkv]_/.test(projection) ? 'self_attn.qkv_proj' : 'mlp.gate_up_proj';
      const module =
        projection === 'o_proj' ? 'self_attn.o_proj' : projection === 'down_proj' ? 'mlp.down_proj' : part;
      const own = (which: 'A' | 'B') =>
        held.get(
          `base_model.model.model.layers.${layer}.${module}.lora_${which}.weight${inFused ? `.${projection}` : ''}`,
        )!;
      const [A, B] = [own('A'), own('B')];
      const [out, input] = [B.shape[0]!, A.shape[1]!];
      const trainedScale = 6 / Math.sqrt(3);
      const product = (left: ArrayLike<number>, right: ArrayLike<number>, r: number, factor: number) =>
        Float64Array.from({ length: out * input }, (_, at) => {
          let sum = 0;
          for (let k = 0; k < r; k++)
            sum += left[Math.floor(at / input) * r + k]! * right[k * input + (at % input)]!;
          return factor * sum;
        });
      const expected = product(B.data, A.data, 3, trainedScale);
      expect(relativeError(product(b, a, rank, scale), expected)).toBeLessThan(1e-6);
    }
    await tiny.close();
  });

  it('are put together again where the whole model is saved', async () => {
    const trainer = await openTinyTrainer({ method: { kind: 'full' } }, { shape });
    const tiny = await openTinyModel({ shape });
    const folder = await temporaryFolder();
    await trainer.save(folder);
    const [saved, original] = [await loadCheckpoint(folder), await loadCheckpoint(tiny.folder)];
    expect(saved.unusedTensors).toEqual([]);
    const [after, before] = [weightSources(saved.weights), weightSources(original.weights)];
    expect(after.map(({ name }) => name)).toEqual(before.map(({ name }) => name));
    for (const [i, source] of before.entries())
      expect(await readWeight(after[i]!)).toEqual(await readWeight(source));
    await tiny.close();
  });
});
