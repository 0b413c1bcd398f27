import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adaptedModel } from '../../src/engine/adapted-model.ts';
import type * as Load from '../../src/engine/load.ts';
import { loadModel } from '../../src/engine/load.ts';
import { weightMemory } from '../../src/engine/model-memory.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import { loadAdapter } from '../../src/model/adapter.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { checkpointFingerprint } from '../../src/model/fingerprint.ts';
import { compiledFile } from '../helpers/build.ts';
import { writeRandomAdapter } from '../helpers/random-adapter.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { collect, openTinyModel } from '../helpers/tiny-models.ts';

const rows = [{ ids: [1, 2, 3, 4], responseStart: 2 }];
const options = { pool: ['response_mean'] } as const;
const choices = [{ ids: [1, 2, 3], continuations: [[4, 5], [4, 6, 7], [8]] }];

/** As `loadModel`, of compiled code, which threads run. */
async function compiledLoad(): Promise<typeof loadModel> {
  const compiled = (await import(compiledFile('engine/load.js').href)) as typeof Load;
  return compiled.loadModel;
}

/** What all kinds of calls give. */
async function everything(model: LanguageModel): Promise<readonly unknown[]> {
  return [
    await collect(model.forward(rows, options)),
    await collect(model.scoreContinuations(choices)),
    (await collect(model.generate([{ ids: [1, 2, 3] }], { maxTokens: 12, ignoreEos: true }))).map(
      ({ ids }) => ids,
    ),
  ];
}

describe('a model with an adapter', () => {
  it('runs every call with it, and names it', async () => {
    const { model, folder: base, close } = await openTinyModel();
    const folder = join(await temporaryFolder(), 'evil-adapter');
    await writeRandomAdapter(base, folder, 0.1);
    const adapted = await adaptedModel(model, folder);
    const adapter = await loadAdapter(folder, model.checkpoint.config);
    const byCall = [
      await collect(model.forward(rows, { ...options, adapter })),
      await collect(model.scoreContinuations(choices, { adapter })),
    ];
    const byModel = await everything(adapted);
    expect(byModel.slice(0, 2)).toEqual(byCall);
    const bare = await everything(model);
    for (const [i, one] of byModel.entries()) expect(one).not.toEqual(bare[i]);
    expect(adapted.checkpoint.id).toBe(`${model.checkpoint.id}+evil-adapter`);
    expect(adapted.adapter?.sha256).toBe(adapter.sha256);
    // Loaded by its folders, and in a thread of its own, it is the same to the bit.
    for (const worker of [false, true]) {
      const load = worker ? await compiledLoad() : loadModel;
      const loaded = await load(base, { adapter: folder, worker });
      expect(await everything(loaded)).toEqual(byModel);
      // Many calls at once share the thread's one copy of the adapter.
      const many = await Promise.all([1, 2, 3].map(() => everything(loaded)));
      for (const one of many) expect(one).toEqual(byModel);
      await loaded.close();
    }
    await close();
  });

  it('scores continuations by the logits that a pass gives', async () => {
    const { model, folder: base, close } = await openTinyModel();
    const folder = await temporaryFolder();
    await writeRandomAdapter(base, folder, 0.1);
    const adapted = await adaptedModel(model, folder);
    const [scored] = await collect(adapted.scoreContinuations(choices));
    const { ids, continuations } = choices[0]!;
    for (const [i, continuation] of continuations.entries()) {
      const row = { ids: [...ids, ...continuation], responseStart: ids.length };
      const [passed] = await collect(adapted.forward([row], { nll: true }));
      const expected = -passed!.nll!.reduce((sum, x) => sum + x, 0);
      expect(scored!.logprobs[i]).toBeCloseTo(expected, 4);
    }
    await close();
  });

  it('is told from its base and from another scale of the same matrices', async () => {
    const { folder: base, close } = await openTinyModel();
    const folder = await temporaryFolder();
    await writeRandomAdapter(base, folder);
    const known = await loadCheckpoint(base, folder);
    const plain = await loadCheckpoint(base);
    const fingerprint = await checkpointFingerprint(known);
    expect(fingerprint).not.toBe(await checkpointFingerprint(plain));
    expect(fingerprint).toBe(await checkpointFingerprint(await loadCheckpoint(base, folder)));
    expect(await checkpointFingerprint(known.adapted!.base)).toBe(await checkpointFingerprint(plain));
    const form = { purpose: 'one-pass' } as const;
    expect(weightMemory(known, form)).toBeGreaterThan(weightMemory(plain, form));
    const config = join(folder, 'adapter_config.json');
    const { lora_alpha: alpha, ...rest } = JSON.parse(await readFile(config, 'utf8')) as {
      lora_alpha: number;
    };
    await writeFile(config, JSON.stringify({ ...rest, lora_alpha: 2 * alpha }));
    expect(await checkpointFingerprint(await loadCheckpoint(base, folder))).not.toBe(fingerprint);
    await close();
  });
});
