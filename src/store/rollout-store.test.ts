import fc from 'fast-check';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { failingFiles } from '../../test/helpers/failing-files.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { readSafetensors } from '../model/safetensors-content.ts';
import type { NewRollout, RolloutStore, RolloutStoreOptions } from './rollout-store.ts';
import { openRolloutStore } from './rollout-store.ts';

const keys = ['pos/0', 'pos/1', 'neg/0', 'neg/1', 'neg/10'];
const layout = { names: ['response_mean', 'prompt_last'], shape: [2, 3], metadata: { about: 'test' } };

function optionsIn(folder: string): RolloutStoreOptions {
  const [rows, activations] = [join(folder, 'rows.jsonl'), join(folder, 'acts.safetensors')];
  return { rows, activations, keys, layout };
}

function rollout(index: number): NewRollout {
  const record = (offset: number): Float32Array =>
    Float32Array.from({ length: 6 }, (_, i) => index + offset + i / 8);
  return {
    row: {
      key: keys[index]!,
      ids: { place: index },
      system: null,
      question: 'why?',
      text: `text "${index}"\n`,
      prompt_tokens: 3,
      response_ids: [index, 7],
      finish_reason: 'stop',
    },
    records: { response_mean: record(0.5), prompt_last: record(-0.25) },
  };
}

const scoresOf = (index: number) => ({
  key: keys[index]!,
  scores: { trait: index * 10, coherence: 90, raw: null },
});

async function complete(store: RolloutStore): Promise<void> {
  for (const index of store.missing()) await store.addRollouts([rollout(index)]);
  await store.addScores(store.unscored().map(scoresOf));
  await store.finish();
  await store.close();
}

async function finishedFiles(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  const contents = await Promise.all(names.map((name) => readFile(join(folder, name), 'base64')));
  return Object.fromEntries(names.map((name, i) => [name, contents[i]!]));
}

describe('openRolloutStore', () => {
  it('ends in the same files whatever the order and however often it is closed', async () => {
    const straight = await temporaryFolder();
    await complete(await openRolloutStore(optionsIn(straight)));
    const expected = await finishedFiles(straight);
    expect(Object.keys(expected)).toEqual(['acts.safetensors', 'rows.jsonl']);
    const order = fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 });
    await fc.assert(
      fc.asyncProperty(order, fc.integer({ min: 0, max: 5 }), async (shuffled, cut) => {
        const folder = await temporaryFolder();
        const first = await openRolloutStore(optionsIn(folder));
        await first.addRollouts(shuffled.slice(0, cut).map(rollout));
        await first.addScores(shuffled.slice(0, Math.max(0, cut - 1)).map(scoresOf));
        await first.close();
        const second = await openRolloutStore(optionsIn(folder));
        expect(second.missing()).toEqual(shuffled.slice(cut).sort((a, b) => a - b));
        await complete(second);
        expect(await finishedFiles(folder)).toEqual(expected);
      }),
      { numRuns: 12 },
    );
  });

  it('keeps rows and activations in planned order, under names that other readers find', async () => {
    const folder = await temporaryFolder();
    const store = await openRolloutStore(optionsIn(folder));
    await store.addRollouts([4, 2, 0, 1, 3].map(rollout));
    expect(() => store.scored()).toThrow('row "pos/0" is not scored yet');
    await store.addScores([3, 1, 0, 4, 2].map(scoresOf));
    await store.finish();
    expect(store.scored().map(({ key, scores }) => [key, scores.trait])).toEqual(
      keys.map((key, i) => [key, i * 10]),
    );
    expect(await store.record('prompt_last', 3)).toEqual(rollout(3).records!['prompt_last']);
    await store.close();
    const content = await readSafetensors(join(folder, 'acts.safetensors'));
    expect(content.tensors.get('response_mean')).toMatchObject({ dtype: 'F32', shape: [5, 2, 3] });
    expect([...content.tensors.get('response_mean')!.data].slice(6, 12)).toEqual([
      ...rollout(1).records!['response_mean']!,
    ]);
    const lines = (await readFile(join(folder, 'rows.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { key: string }).key)).toEqual(keys);
  });

  it('makes a torn row again', async () => {
    const folder = await temporaryFolder();
    const store = await openRolloutStore(optionsIn(folder));
    await store.addRollouts([0, 1].map(rollout));
    await store.close();
    const partial = join(folder, 'rows.jsonl.partial');
    const { length } = await readFile(partial);
    await truncate(partial, length - 3);
    const again = await openRolloutStore(optionsIn(folder));
    expect(again.droppedBytes).toBeGreaterThan(3);
    expect(again.missing()).toEqual([1, 2, 3, 4]);
    await again.close();
  });

  it('makes everything again when the activations are gone or of another shape', async () => {
    const folder = await temporaryFolder();
    const store = await openRolloutStore(optionsIn(folder));
    await store.addRollouts([0, 1].map(rollout));
    await store.addScores([0, 1].map(scoresOf));
    await store.close();
    await truncate(join(folder, 'acts.safetensors.partial'), 100);
    const again = await openRolloutStore(optionsIn(folder));
    expect(again.missing()).toEqual([0, 1, 2, 3, 4]);
    expect(again.unscored()).toEqual([]);
    await again.close();
  });

  it('goes on after a kill between the two renames of the end', async () => {
    const [folder, straight] = [await temporaryFolder(), await temporaryFolder()];
    await complete(await openRolloutStore(optionsIn(straight)));
    const expected = await finishedFiles(straight);
    const store = await openRolloutStore(optionsIn(folder));
    await store.addRollouts([0, 1, 2, 3, 4].map(rollout));
    await store.close();
    const partial = join(folder, 'acts.safetensors.partial');
    await writeFile(join(folder, 'acts.safetensors'), await readFile(partial));
    await rm(partial);
    const again = await openRolloutStore(optionsIn(folder));
    expect(again.missing()).toEqual([]);
    await complete(again);
    expect(await finishedFiles(folder)).toEqual(expected);
  });

  it('opens finished rows as finished, and refuses those of another plan', async () => {
    const folder = await temporaryFolder();
    await complete(await openRolloutStore(optionsIn(folder)));
    const again = await openRolloutStore(optionsIn(folder));
    expect(again).toMatchObject({ finished: true });
    expect([again.missing(), again.unscored()]).toEqual([[], []]);
    await again.close();
    const refusals = [
      { ...optionsIn(folder), keys: keys.slice(1) },
      { ...optionsIn(folder), keys: [...keys, 'neg/11'] },
    ];
    for (const options of refusals) {
      await expect(openRolloutStore(options)).rejects.toThrow(/does not belong to this run/);
    }
    await rm(join(folder, 'acts.safetensors'));
    await expect(openRolloutStore(optionsIn(folder))).rejects.toThrow('5 × 2 × 3 values, got no such file');
    expect(await readdir(folder)).toEqual(['rows.jsonl']);
  });

  it('keeps what fits on a full disk, and goes on when there is room', async () => {
    const folder = await temporaryFolder();
    const files = failingFiles({ after: 900 });
    const store = await openRolloutStore({ ...optionsIn(folder), files });
    const failure = await complete(store).catch((error: unknown) => error);
    await store.close();
    expect(failure).toMatchObject({ code: 'store', details: { reason: 'ENOSPC' } });
    const again = await openRolloutStore(optionsIn(folder));
    expect(again.missing().length).toBeGreaterThan(0);
    expect(again.missing().length).toBeLessThan(5);
    await complete(again);
    const straight = await temporaryFolder();
    await complete(await openRolloutStore(optionsIn(straight)));
    expect(await finishedFiles(folder)).toEqual(await finishedFiles(straight));
  });

  it('names a pooling that a row lacks', async () => {
    const store = await openRolloutStore(optionsIn(await temporaryFolder()));
    const { row } = rollout(0);
    await expect(store.addRollouts([{ row, records: {} }])).rejects.toThrow(
      '6 values of "response_mean" for row 0',
    );
    await store.close();
  });
});
