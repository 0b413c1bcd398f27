/** Training on a GGUF model, and what becomes of it: the same files as on its twin in safetensors. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inspect } from '../../src/apps/inspect.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { readSafetensors } from '../../src/model/safetensors-content.ts';
import { createTrainer } from '../../src/training/create-trainer.ts';
import { mergeAdapter } from '../../src/training/merge-adapter.ts';
import { UsageError } from '../../src/errors.ts';
import { readAdapter } from '../../src/model/adapter.ts';
import { writeGgufTwin } from '../helpers/gguf-twin.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { tinyShape, writeTinyModel } from '../helpers/tiny-models.ts';
import { smallLora, trainSteps } from '../helpers/tiny-trainer.ts';
import { randomRows } from '../helpers/training-rows.ts';

const rows = randomRows([9, 6], tinyShape.vocabSize, 'gguf');

/** An adapter that is trained for some steps. */
async function adapterOf(model: string): Promise<string> {
  const folder = await temporaryFolder();
  const trainer = await createTrainer(await loadCheckpoint(model), { method: smallLora, threads: 1 });
  try {
    await trainSteps(trainer, rows, 3);
    await trainer.save(folder);
  } finally {
    await trainer.close();
  }
  return folder;
}

it('an adapter and a merged model are those of the twin, and the folder says what the file said', async () => {
  const folder = await writeTinyModel({ shape: { family: 'llama' } });
  const gguf = join(await temporaryFolder(), 'tiny.gguf');
  await writeGgufTwin(folder, gguf, 'F32');
  const [ours, theirs] = [await adapterOf(gguf), await adapterOf(folder)];
  const weights = (path: string): Promise<Buffer> => readFile(join(path, 'adapter_model.safetensors'));
  expect((await weights(ours)).equals(await weights(theirs))).toBe(true);
  const config = JSON.parse(await readFile(join(ours, 'adapter_config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ base_model_name_or_path: gguf });

  const merged = [join(await temporaryFolder(), 'a'), join(await temporaryFolder(), 'b')] as const;
  const options = { adapter: ours, dtype: 'BF16' } as const;
  await mergeAdapter({ ...options, model: gguf, output: merged[0] });
  await mergeAdapter({ ...options, model: folder, output: merged[1] });
  const [a, b] = await Promise.all(merged.map((path) => readSafetensors(join(path, 'model.safetensors'))));
  expect([...a!.tensors.keys()].toSorted()).toEqual([...b!.tensors.keys()].toSorted());
  for (const [name, { data }] of a!.tensors) expect(data).toEqual(b!.tensors.get(name)!.data);
  const [facts, twin] = await Promise.all(merged.map(inspect));
  expect(facts).toMatchObject({ parameters: twin!.parameters, rope: twin!.rope, context: twin!.context });
  expect(facts!.dtypes).toEqual({ BF16: facts!.parameters });
});

it('blocks that are merged become F32, and a GGUF file is no adapter', async () => {
  const folder = await writeTinyModel({
    shape: { family: 'llama', width: 32, heads: 2, kvHeads: 1, headSize: 16, mlpWidth: 64 },
  });
  const gguf = join(await temporaryFolder(), 'tiny.gguf');
  await writeGgufTwin(folder, gguf, 'Q8_0');
  const output = join(await temporaryFolder(), 'merged');
  await mergeAdapter({ model: gguf, adapter: await adapterOf(gguf), output });
  const [facts, before] = [await inspect(output), await inspect(gguf)];
  expect(facts.dtypes).toEqual({ F32: facts.parameters });
  expect(before).toMatchObject({ file: gguf, parameters: facts.parameters });
  expect(before.dtypes.Q8_0).toBeGreaterThan(0);
  await expect(readAdapter(gguf, (await loadCheckpoint(gguf)).config)).rejects.toThrow(UsageError);
});
