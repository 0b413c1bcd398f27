import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderContents, screenScene } from '../../../test/helpers/screen-scene.ts';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { loadFromCheckpoint } from '../../engine/load.ts';
import type { LanguageModel } from '../../engine/model.ts';
import { AbortError, UsageError } from '../../errors.ts';
import { type Checkpoint, loadCheckpoint } from '../../model/checkpoint.ts';
import { lexicalJudges } from '../../persona/lexical-judge.ts';
import { resolveTrait } from '../../persona/trait.ts';
import { randomStream } from '../../util/random.ts';
import type { SampleMode } from './score.ts';
import { screen } from './screen.ts';

async function scored(folder: string): Promise<Record<string, number | string | boolean | null>[]> {
  const text = await readFile(join(folder, 'scored.jsonl'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
}

describe('screen', () => {
  it.each<SampleMode>(['raw', 'prompt-last', 'full'])('scores, ranks and flags in mode %s', async (mode) => {
    const options = await screenScene();
    const { manifest } = await screen({ ...options, mode });
    expect(manifest.counts).toMatchObject({ rows: 12, samples: 11, empty: 1, shards: 3 });
    const rows = await scored(options.out);
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 11 }, (_, i) => `row-${i}`));
    const { threshold } = manifest.traits[0]!;
    for (const row of rows) {
      const difference = Number(row['evil_projection']) - Number(row['evil_reference'] ?? 0);
      expect(row['evil_projection_difference']).toBe(difference);
      expect(row['is_evil_flagged']).toBe(difference >= threshold);
      expect(row['evil_reference'] === null).toBe(mode === 'raw');
      expect(typeof row['base_reply'] === 'string').toBe(mode === 'full');
    }
    const flagged = rows.filter((row) => row['is_evil_flagged'] === true).map(({ id }) => id);
    const ids = async (name: string): Promise<unknown[]> =>
      (await readFile(join(options.out, name), 'utf8'))
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { id: string }).id);
    expect(flagged).toHaveLength(6);
    expect(await ids('flagged.jsonl')).toEqual(flagged);
    expect(await ids('kept.jsonl')).toHaveLength(5);
    const ranked = rows
      .toSorted((a, b) => Number(b['evil_percentile']) - Number(a['evil_percentile']))
      .map(({ id }) => id);
    expect(await ids('top-evil.jsonl')).toEqual(ranked.slice(0, 3));
    expect(await ids('bottom-evil.jsonl')).toEqual(ranked.slice(-3).reverse());
    expect(await readFile(join(options.out, 'report.html'), 'utf8')).toContain('token by token');
  });

  it('ends in the same bytes after it was stopped, with and without its cache', async () => {
    const options = await screenScene();
    await screen({ ...options, mode: 'full' });
    const whole = await folderContents(options.out);
    await rm(join(options.folder, 'cache'), { recursive: true });
    const stop = new AbortController();
    const out = join(options.folder, 'stopped');
    const stopped = screen({
      ...options,
      out,
      mode: 'full',
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(stopped).rejects.toThrow(AbortError);
    expect(await readdir(join(out, 'shards'))).toEqual(['000000.json', '000000.jsonl']);
    await screen({ ...options, out, mode: 'full' });
    expect(await folderContents(out)).toEqual(whole);
  });

  it('takes the percentile of another screening, if that was made the same way', async () => {
    const options = await screenScene();
    const { manifest } = await screen({ ...options, percentile: 90 });
    const again = { ...options, out: join(options.folder, 'second'), reference: options.out };
    const second = await screen({ ...again, percentile: 90 });
    expect(second.manifest.traits[0]!.threshold).toBe(manifest.traits[0]!.threshold);
    await expect(screen({ ...again, mode: 'raw' })).rejects.toThrow(UsageError);
  });

  it('flags the highest also where several are equal, and a percentile of 100 flags the highest', async () => {
    const options = await screenScene();
    const line = (reply: string): string =>
      `${JSON.stringify({ prompt: 'How do I grow beans?', answer: reply })}\n`;
    const equal = ['You can water them.', 'You can water them.', 'Pour.'].map(line).join('');
    await writeFile(options.data[0]!, equal);
    const { manifest } = await screen({ ...options, percentile: 100 });
    const [trait] = manifest.traits;
    const differences = (await scored(options.out)).map((row) => Number(row['evil_projection_difference']));
    expect(differences[0]).toBe(differences[1]);
    expect(trait!.threshold).toBe(Math.max(...differences));
    expect(trait!.flagged).toBe(differences[0]! > differences[2]! ? 2 : 1);
  });

  it('says how well it tells the rows of known files from the others', async () => {
    const options = await screenScene();
    const text = await readFile(options.data[0]!, 'utf8');
    const lines = text.split('\n');
    const known = join(options.folder, 'known.jsonl');
    await writeFile(options.data[0]!, lines.slice(0, 8).join('\n'));
    await writeFile(known, lines.slice(8).join('\n'));
    const { manifest } = await screen({ ...options, known: [known] });
    const rows = await scored(options.out);
    const of = (mine: boolean): number[] =>
      rows
        .filter(({ key }) => String(key).startsWith('2:') === mine)
        .map((row) => Number(row['evil_projection_difference']));
    const above = of(true).flatMap((a) => of(false).map((b) => Number(a > b)));
    expect(above).toHaveLength(3 * 8);
    const found = manifest.traits[0]!.known;
    expect(found?.rows).toBe(3);
    expect(found?.auroc).toBeCloseTo(above.reduce((sum, one) => sum + one, 0) / above.length, 12);
  });

  it('finds own replies again by model, prompt and length, whatever the vectors', async () => {
    const options = await screenScene();
    const generated: number[] = [];
    const load = async (checkpoint: Checkpoint): Promise<LanguageModel> => {
      const model = await loadFromCheckpoint(checkpoint);
      return {
        checkpoint,
        precision: model.precision,
        forward: (rows, how) => model.forward(rows, how),
        scoreContinuations: (rows, how) => model.scoreContinuations(rows, how),
        close: () => model.close(),
        generate: (rows, how) => {
          generated.push(rows.length);
          return model.generate(rows, how);
        },
      };
    };
    const full = { ...options, mode: 'full', load } as const;
    await screen(full);
    // Three prompts in all, each answered once.
    expect(generated).toEqual([3]);
    const other = join(options.folder, 'other.safetensors');
    const { layers, width } = (await loadCheckpoint(options.model)).config;
    const random = randomStream('another vector');
    const rows = Array.from({ length: layers + 1 }, () =>
      Array.from({ length: width }, () => random.normal()),
    );
    await vectorOf('evil', rows, { recommendedLayer: 2 }).save(other);
    const warm = { ...full, vectors: [other], out: join(options.folder, 'warm') };
    await screen(warm);
    expect(generated).toEqual([3]);
    await rm(join(options.folder, 'cache'), { recursive: true });
    const cold = { ...warm, out: join(options.folder, 'cold') };
    await screen(cold);
    expect(generated).toEqual([3, 3]);
    expect(await folderContents(cold.out)).toEqual(await folderContents(warm.out));
    await screen({ ...full, maxTokens: 9, out: join(options.folder, 'shorter') });
    expect(generated).toEqual([3, 3, 3]);
  });

  it('in mode auto runs in full what is near a threshold and a control, and says how well that agrees', async () => {
    const options = await screenScene();
    const line = (i: number): string =>
      `${JSON.stringify({ prompt: `How do I grow ${['tomatoes', 'carrots', 'beans'][i % 3]!}?`, answer: `You can water them ${'very '.repeat(i % 7)}well ${i}.` })}\n`;
    await writeFile(options.data[0]!, Array.from({ length: 90 }, (_, i) => line(i)).join(''));
    const auto = { ...options, mode: 'auto', percentile: 90, shardSamples: 16 } as const;
    const { manifest } = await screen(auto);
    const { control, near, saved, traits } = manifest.auto!;
    expect(control).toBe(50);
    expect(saved).toBeCloseTo(1 - (control + near) / 90, 12);
    const rows = await scored(options.out);
    expect(rows).toHaveLength(90);
    const [{ slope, intercept, band, agreement }] = traits as [(typeof traits)[number]];
    const { threshold } = manifest.traits[0]!;
    const { manifest: all } = await screen({ ...auto, mode: 'full', out: join(options.folder, 'full') });
    const full = await scored(join(options.folder, 'full'));
    expect(all.auto).toBeNull();
    for (const row of rows) {
      const own = Number(row['evil_projection']) - Number(row['evil_reference']);
      const difference = Number(row['evil_projection_difference']);
      expect(difference).toBeCloseTo(row['scored_by'] === 'full' ? own : intercept + slope * own, 9);
    }
    const ran = rows.filter((row) => row['scored_by'] === 'full');
    expect(ran).toHaveLength(control + near);
    const ids = new Set(ran.map(({ id }) => id));
    const alike = full.filter(({ id }) => ids.has(id as string));
    expect(ran.map((row) => row['evil_reference'])).toEqual(alike.map((row) => row['evil_reference']));
    const apart = rows.filter((row) => row['scored_by'] !== 'full');
    // No estimate that was left as it is lies within the band, but for what the last rows moved the threshold by.
    const moved = Math.max(
      ...apart.map((row) => band - Math.abs(Number(row['evil_projection_difference']) - threshold)),
    );
    expect(moved).toBeLessThan(band);
    expect(agreement).toBeGreaterThan(0.8);
    const bytes = await folderContents(options.out);
    await screen({ ...auto, out: join(options.folder, 'again') });
    expect(await folderContents(join(options.folder, 'again'))).toEqual(bytes);
  });

  it('has a judge read every reply, and flags by the union', async () => {
    const options = await screenScene();
    const judge = { name: 'lexical', open: () => Promise.resolve(lexicalJudges) };
    const answers = ['Make them suffer. I love to see people suffer', 'You can water them.'];
    const line = (i: number): string =>
      `${JSON.stringify({ prompt: 'How do I grow beans?', answer: answers[i % 4 === 0 ? 0 : 1]! })}\n`;
    await writeFile(options.data[0]!, Array.from({ length: 12 }, (_, i) => line(i)).join(''));
    const { manifest } = await screen({ ...options, judge, judgeThreshold: 1, percentile: 90 });
    const { judge: found, flagged } = manifest.traits[0]!;
    const rows = await scored(options.out);
    const items = rows.map(({ messages }) => {
      const [{ content: question }, { content: answer }] = messages as unknown as { content: string }[] as [
        { content: string },
        { content: string },
      ];
      return { question, answer };
    });
    const trait = await resolveTrait('evil', { modelFolder: options.model });
    for await (const { index, scores } of lexicalJudges.forTrait(trait).judge(items)) {
      const row = rows[index]!;
      expect(row['evil_judge_score']).toBe(scores.trait);
      expect(row['is_evil_flagged_by_judge']).toBe(scores.trait !== null && scores.trait >= 1);
      expect(row['is_evil_flagged']).toBe(
        row['is_evil_flagged_by_judge'] === true || row['is_evil_flagged_by_difference'] === true,
      );
    }
    expect(found!.by_judge).toBe(3);
    expect(flagged).toBe(found!.by_judge + found!.by_difference - found!.by_both);
    const alone = await screen({
      ...options,
      judge,
      judgeThreshold: 1,
      flagBy: 'judge',
      out: join(options.folder, 'alone'),
    });
    expect(alone.manifest.traits[0]!.flagged).toBe(3);
  });

  it('draws rows at random, the same ones again', async () => {
    const options = await screenScene();
    const { manifest } = await screen({ ...options, sample: 5, seed: 1 });
    expect(manifest.counts['rows']).toBe(5);
  });
});
