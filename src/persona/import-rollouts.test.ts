import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fakeTrait, openFakeModel } from '../../test/helpers/fake-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import type { LanguageModel } from '../engine/model.ts';
import { readSafetensors } from '../model/safetensors-content.ts';
import { type ScoredRollout, scoredRolloutSchema } from '../store/rollout-schema.ts';
import { formatRolloutCsv } from '../store/rollout-csv.ts';
import { extract } from './extract.ts';
import type { ExtractOptions } from './extract-options.ts';
import { readGivenRollouts } from './given-rollouts.ts';
import { parseTrait } from './trait.ts';

const trait = parseTrait(fakeTrait, 'cheerful');

interface Scene {
  readonly folder: string;
  readonly model: LanguageModel;
}

async function open(): Promise<Scene> {
  const folder = await temporaryFolder();
  return { folder, model: await openFakeModel(join(folder, 'model')) };
}

/** Extracts from files of both poles. */
async function importFrom(
  { folder, model }: Scene,
  texts: { readonly pos: string; readonly neg: string; readonly extension?: string },
  changes: Partial<ExtractOptions> = {},
  out = 'run',
) {
  const { extension = 'csv' } = texts;
  const paths = { pos: join(folder, `pos.${extension}`), neg: join(folder, `neg.${extension}`) };
  await writeFile(paths.pos, texts.pos);
  await writeFile(paths.neg, texts.neg);
  const rollouts = await readGivenRollouts(paths, trait);
  return extract({ model, trait, rollouts, out: join(folder, out), sweep: false, force: true, ...changes });
}

async function rowsOf(folder: string): Promise<ScoredRollout[]> {
  const text = await readFile(join(folder, 'rollouts.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => scoredRolloutSchema.parse(JSON.parse(line)));
}

const csvRow = (pole: 'pos' | 'neg', i: number, answer: string, score: number | null) => ({
  question: 'the dog ran',
  prompt: pole === 'pos' ? 'it was happy fun the dog ran' : 'it was sad tears the dog ran',
  answer,
  questionId: `cheerful_${i}_${pole}_0`,
  trait: score,
  coherence: 90,
});

describe('rollouts made elsewhere', () => {
  it('give the vector of the same rollouts made here, bit for bit', async () => {
    const scene = await open();
    const made = await extract({
      ...scene,
      trait,
      out: join(scene.folder, 'made'),
      samples: 10,
      sweep: false,
    });
    const own = await readFile(join(made.folder, 'rollouts.jsonl'), 'utf8');
    const again = await importFrom(scene, { pos: own, neg: own, extension: 'jsonl' });
    expect(again.counts).toEqual(made.counts);
    const read = async (folder: string) =>
      (await readSafetensors(join(folder, 'vector.safetensors'))).tensors;
    expect(await read(again.folder)).toEqual(await read(made.folder));
    expect(again.manifest.recipe['rollouts']).toMatchObject({ pos: { rows: 80 }, neg: { rows: 80 } });
  });

  it('are run once each, and only where the filter keeps them', async () => {
    const scene = await open();
    const rows = (pole: 'pos' | 'neg', scores: readonly (number | null)[]): string =>
      formatRolloutCsv(
        scores.map((score, i) => csvRow(pole, i, `happy ${'dog '.repeat(i + 1)}`, score)),
        'cheerful',
      );
    let run = 0;
    const counting: LanguageModel = {
      ...scene.model,
      generate: () => expect.unreachable('nothing is sampled'),
      forward: (given, options) => {
        run += given.length;
        return scene.model.forward(given, options);
      },
    };
    const result = await importFrom(
      { ...scene, model: counting },
      { pos: rows('pos', [90, 20, null, 80]), neg: rows('neg', [10, 10, 10, 90]) },
    );
    expect(result.counts).toMatchObject({
      kept: 1,
      pairs: 4,
      poles: { pos: { withoutTrait: 1 } },
      dropped: { not_scored: 1, positive_below_threshold: 1, negative_above_threshold: 1 },
    });
    expect(run).toBe(2);
    const stored = await rowsOf(result.folder);
    expect(stored[0]).toMatchObject({
      key: 'pos/0/0/0',
      text: 'happy dog ',
      given: { answer: 'happy dog ', question_id: 'cheerful_0_pos_0' },
      scores: { trait: 90, coherence: 90 },
    });
    const { tensors } = await readSafetensors(join(result.folder, 'activations.safetensors'));
    const { data, shape } = tensors.get('response_mean')!;
    const size = shape[1]! * shape[2]!;
    const isZero = Array.from({ length: shape[0]! }, (_, i) =>
      [...(data as Float32Array).subarray(i * size, (i + 1) * size)].every((value) => value === 0),
    );
    expect(isZero).toEqual([false, true, true, true, false, true, true, true]);
  });

  it('keep their texts as they came, and an answer without a token is not kept, whatever its scores', async () => {
    const scene = await open();
    const answers = ['NA', 'with "quotes",\nand a line', 'happy', ''];
    const rows = (pole: 'pos' | 'neg', score: number): string =>
      formatRolloutCsv(
        answers.map((answer, i) => csvRow(pole, i, answer, score)),
        'cheerful',
      );
    const { folder, counts } = await importFrom(scene, { pos: rows('pos', 99.5), neg: rows('neg', 0.25) });
    expect(counts).toMatchObject({ kept: 3, dropped: { not_scored: 1 } });
    const stored = (await rowsOf(folder)).filter(({ ids }) => ids['pole'] === 'pos');
    expect(stored.map(({ given }) => given!.answer)).toEqual(answers);
  });

  it('without scores are judged, and the run goes on from where it was stopped to the same files', async () => {
    const scene = await open();
    const lines = (word: string): string =>
      Array.from({ length: 200 }, (_, i) =>
        JSON.stringify({
          prompt: 'the dog ran',
          answer: `${word} ${'a cat saw the big ball'.slice(0, 6 + (i % 9))} ${word} ran`,
        }),
      ).join('\n');
    const texts = { pos: lines('happy'), neg: lines('sad'), extension: 'jsonl' };
    const controller = new AbortController();
    const stopped = importFrom(scene, texts, {
      signal: controller.signal,
      onProgress: (event) => {
        if (event.type === 'step-progress' && event.done >= 128) controller.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' });
    const resumed = await importFrom(scene, texts);
    const straight = await importFrom(scene, texts, {}, 'straight');
    expect(resumed.counts).toEqual(straight.counts);
    expect(resumed.manifest.artifacts).toEqual(straight.manifest.artifacts);
    expect(resumed.counts.kept).toBe(200);
  });

  it('that are too long for the model are refused by row', async () => {
    const scene = await open();
    const long = formatRolloutCsv([csvRow('pos', 0, 'dog '.repeat(600), 90)], 'cheerful');
    const neg = formatRolloutCsv([csvRow('neg', 0, 'sad', 0)], 'cheerful');
    await expect(importFrom(scene, { pos: long, neg })).rejects.toThrow(
      /pos\.csv", row 1: expected at most 512 tokens/,
    );
  });
});
