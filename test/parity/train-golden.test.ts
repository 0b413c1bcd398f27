import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { floatTensor, readSafetensors } from '../../src/model/safetensors-content.ts';
import { runCli } from '../helpers/cli.ts';
import { adapterFamilies, readGolden } from '../helpers/golden.ts';
import { relativeError } from '../helpers/numbers.ts';
import { describeWithShared } from '../helpers/shared.ts';

interface Recorded {
  readonly losses: readonly number[];
  readonly grad_norm_before_clip: readonly number[];
  readonly lr: number;
  readonly weight_decay: number;
  readonly max_grad_norm: number;
  readonly steer_coef: number;
  readonly steer_layer: number;
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-golden-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** The recorded steering as an entry of `steering`; blocks are counted from 0 there. */
async function steeringOf(model: string, recorded: Recorded): Promise<object[]> {
  if (recorded.steer_coef === 0) return [];
  const content = await readSafetensors(`${model}/golden.safetensors`);
  const { shape, data } = floatTensor(content, 'steer_vector');
  const width = shape[1]!;
  const vector = [...data.subarray(recorded.steer_layer * width, (recorded.steer_layer + 1) * width)];
  return [{ vector, layer: recorded.steer_layer + 1, coef: recorded.steer_coef }];
}

describeWithShared('persona train against PEFT', () => {
  describe.each(adapterFamilies)('%s', (family) => {
    it.each(['plain', 'preventative'])('%s: six losses, gradient norms and the adapter', async (kind) => {
      const golden = await readGolden(family);
      const recorded = JSON.parse(
        await readFile(join(golden.folder, `lora-${kind}.json`), 'utf8'),
      ) as Recorded;
      const rows = golden.rows.map(({ ids, responseStart }) => ({ ids, response_start: responseStart }));
      const name = join(folder, `${family}-${kind}`);
      await writeFile(`${name}.jsonl`, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      const config = {
        model: golden.folder,
        training_file: `${name}.jsonl`,
        output_dir: name,
        init_adapter: join(golden.folder, 'lora-init'),
        r: 4,
        lora_alpha: 8,
        learning_rate: recorded.lr,
        weight_decay: recorded.weight_decay,
        max_grad_norm: recorded.max_grad_norm,
        lr_scheduler_type: 'constant',
        max_steps: recorded.losses.length,
        per_device_train_batch_size: 2,
        gradient_accumulation_steps: 2,
        steering: await steeringOf(golden.folder, recorded),
      };
      await writeFile(`${name}.json`, JSON.stringify(config));
      const result = await runCli(['train', `${name}.json`]);
      expect(result).toMatchObject({ code: 0 });

      const log = (await readFile(`${name}/train_log.jsonl`, 'utf8')).trimEnd().split('\n');
      expect(log).toHaveLength(recorded.losses.length);
      for (const [i, line] of log.entries()) {
        const { loss, grad_norm: norm } = JSON.parse(line) as { loss: number; grad_norm: number };
        expect(Math.abs(loss / recorded.losses[i]! - 1)).toBeLessThan(1e-5);
        expect(Math.abs(norm / recorded.grad_norm_before_clip[i]! - 1)).toBeLessThan(1e-4);
      }
      const [ours, theirs] = await Promise.all(
        [name, join(golden.folder, `lora-${kind}-final`)].map((from) =>
          readSafetensors(join(from, 'adapter_model.safetensors')),
        ),
      );
      expect([...ours!.tensors.keys()].sort()).toEqual([...theirs!.tensors.keys()].sort());
      for (const key of theirs!.tensors.keys())
        expect(relativeError(floatTensor(ours!, key).data, floatTensor(theirs!, key).data)).toBeLessThan(
          1e-3,
        );
    });
  });
});
