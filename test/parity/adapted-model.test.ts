import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { collect, openTinyModel } from '../helpers/tiny-models.ts';
import { randomiseParameters, smallLora } from '../helpers/tiny-trainer.ts';
import { loadAdapter } from '../../src/model/adapter.ts';
import { createTrainer } from '../../src/training/create-trainer.ts';
import { adaptedModel } from '../../src/engine/adapted-model.ts';

describe('a model with an adapter', () => {
  it('runs every call with it, and names it', async () => {
    const { model, close } = await openTinyModel();
    const trainer = await createTrainer(model.checkpoint, { method: smallLora, threads: 1 });
    randomiseParameters(trainer);
    const folder = join(await temporaryFolder(), 'evil-adapter');
    await trainer.save(folder);
    await trainer.close();
    const adapted = await adaptedModel(model, folder);
    const rows = [{ ids: [1, 2, 3, 4], responseStart: 2 }];
    const options = { pool: ['response_mean'] } as const;
    const adapter = await loadAdapter(folder, model.checkpoint.config);
    const [byModel, byCall, bare] = [
      await collect(adapted.forward(rows, options)),
      await collect(model.forward(rows, { ...options, adapter })),
      await collect(model.forward(rows, options)),
    ];
    expect(byModel).toEqual(byCall);
    expect(byModel).not.toEqual(bare);
    expect(adapted.checkpoint.id).toBe(`${model.checkpoint.id}+evil-adapter`);
    expect(adapted.adapter?.sha256).toMatch(/^[0-9a-f]{64}$/);
    const text = async (of: typeof model): Promise<readonly number[]> =>
      (await collect(of.generate([{ ids: [1, 2, 3] }], { maxTokens: 12, ignoreEos: true })))[0]!.ids;
    expect(await text(adapted)).not.toEqual(await text(model));
    await close();
  });
});
