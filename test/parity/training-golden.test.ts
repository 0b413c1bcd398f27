import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { floatTensor, readSafetensors } from '../../src/model/safetensors-content.ts';
import { createTrainer } from '../../src/training/create-trainer.ts';
import { adapterFamilies, readGolden } from '../helpers/golden.ts';
import { relativeError } from '../helpers/numbers.ts';
import { describeWithShared } from '../helpers/shared.ts';
import { gatheredGradients } from '../helpers/tiny-trainer.ts';
import { goldenTrainingRows, totalWeight } from '../helpers/training-rows.ts';

/** What the data promise. */
const tolerance = { gradients: 1e-4, losses: 1e-5, adapter: 1e-3 };

/** A training that PEFT recorded. */
interface Recorded {
  readonly losses: readonly number[];
  readonly grad_norm_before_clip: readonly number[];
  readonly lr: number;
  readonly weight_decay: number;
  readonly max_grad_norm: number;
  readonly steer_coef: number;
  readonly steer_layer: number;
}

describeWithShared('LoRA training against PEFT', () => {
  describe.each(adapterFamilies)('%s', (family) => {
    it.each(['plain', 'preventative'])('%s: gradients, losses and adapter', async (kind) => {
      const golden = await readGolden(family);
      const file = (name: string): string => join(golden.folder, `lora-${name}`);
      const recorded = JSON.parse(await readFile(file(`${kind}.json`), 'utf8')) as Recorded;
      const trainer = await createTrainer(await loadCheckpoint(golden.folder), {
        method: { kind: 'lora', rank: 4, alpha: 8, rankStabilised: true, initAdapter: file('init') },
        optimizer: { kind: 'adamw', weightDecay: recorded.weight_decay },
        maxGradNorm: recorded.max_grad_norm,
        interventions: kind === 'plain' ? [] : [await steering(golden.folder, recorded)],
        threads: 1,
      });
      const rows = goldenTrainingRows(golden.rows);
      const weight = totalWeight(rows);
      const gradients = await readSafetensors(`${file(kind)}-grad0.safetensors`);
      for (const { name, data } of await gatheredGradients(trainer, [rows])) {
        const key = [...gradients.tensors.keys()].find((key) => sameParameter(key, name))!;
        expect(relativeError(data, floatTensor(gradients, key).data)).toBeLessThan(tolerance.gradients);
      }
      for (const [step, expected] of recorded.losses.entries()) {
        const { loss } = await trainer.accumulate(rows, weight);
        expect(Math.abs(loss / weight / expected - 1)).toBeLessThan(tolerance.losses);
        const { gradNorm } = await trainer.update({ learningRate: recorded.lr });
        const norm = recorded.grad_norm_before_clip[step]!;
        expect(Math.abs(gradNorm / norm - 1)).toBeLessThan(tolerance.gradients);
      }
      const folder = await mkdtemp(join(tmpdir(), 'adapter-'));
      await trainer.save(folder);
      const [ours, theirs] = [folder, file(`${kind}-final`)].map((from) =>
        readSafetensors(join(from, 'adapter_model.safetensors')),
      );
      const final = await theirs!;
      expect([...(await ours!).tensors.keys()].sort()).toEqual([...final.tensors.keys()].sort());
      for (const name of final.tensors.keys()) {
        const error = relativeError(floatTensor(await ours!, name).data, floatTensor(final, name).data);
        expect(error).toBeLessThan(tolerance.adapter);
      }
      await trainer.close();
      await rm(folder, { recursive: true });
    });
  });
});

/** The gradient files name the adapter too ("default"), as PEFT does in memory. */
function sameParameter(key: string, name: string): boolean {
  return key.replace('.default.weight', '.weight') === name;
}

async function steering(folder: string, { steer_layer: block, steer_coef: coef }: Recorded) {
  const { data, shape } = floatTensor(
    await readSafetensors(join(folder, 'golden.safetensors')),
    'steer_vector',
  );
  const width = shape[1]!;
  return { layer: block + 1, vector: data.subarray(block * width, (block + 1) * width), coef };
}
