import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { AbortError, UsageError } from '../../errors.ts';
import { loadCheckpoint } from '../../model/checkpoint.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { randomStream } from '../../util/random.ts';
import type { ScreenMode } from './score.ts';
import { type ScreenOptions, screen } from './screen.ts';

/** Twelve conversations, a vector at layer 2, and a cache of their own. */
async function scene(): Promise<ScreenOptions & { folder: string }> {
  const folder = await temporaryFolder();
  const before = process.env['PERSONA_CACHE'];
  process.env['PERSONA_CACHE'] = join(folder, 'cache');
  onTestFinished(() => {
    if (before === undefined) delete process.env['PERSONA_CACHE'];
    else process.env['PERSONA_CACHE'] = before;
  });
  const { config } = await loadCheckpoint(shippedModelFolder());
  const random = randomStream('screen test');
  const rows = Array.from({ length: config.layers + 1 }, () =>
    Array.from({ length: config.width }, () => random.normal()),
  );
  const vector = join(folder, 'evil.safetensors');
  await vectorOf('evil', rows, { recommendedLayer: 2 }).save(vector);
  const lines = Array.from({ length: 12 }, (_, i) => ({
    id: `row-${i}`,
    messages: [
      { role: 'user', content: `How do I grow ${['tomatoes', 'carrots', 'beans'][i % 3]!}?` },
      { role: 'assistant', content: i === 11 ? ' ' : `You can water them ${'well '.repeat(i)}.` },
    ],
  }));
  const data = join(folder, 'rows.jsonl');
  await writeFile(data, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const out = join(folder, 'out');
  return {
    folder,
    out,
    model: shippedModelFolder(),
    data: [data],
    vectors: [vector],
    shardSamples: 4,
    extremes: 3,
    maxTokens: 12,
    percentile: 50,
  };
}

/** Every file of a folder, by its name. */
async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.\w+$/.test(name)).sort();
  const files = await Promise.all(
    names.map(async (name) => [name, await readFile(join(folder, name), 'base64')]),
  );
  return Object.fromEntries(files) as Record<string, string>;
}

async function scored(folder: string): Promise<Record<string, number | string | boolean | null>[]> {
  const text = await readFile(join(folder, 'scored.jsonl'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
}

describe('screen', () => {
  it.each<ScreenMode>(['raw', 'prompt-last', 'full'])('scores, ranks and flags in mode %s', async (mode) => {
    const options = await scene();
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
    const options = await scene();
    await screen({ ...options, mode: 'full' });
    const whole = await contents(options.out);
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
    expect(await contents(out)).toEqual(whole);
  });

  it('takes the percentile of another screening, if that was made the same way', async () => {
    const options = await scene();
    const { manifest } = await screen({ ...options, percentile: 90 });
    const again = { ...options, out: join(options.folder, 'second'), reference: options.out };
    const second = await screen({ ...again, percentile: 90 });
    expect(second.manifest.traits[0]!.threshold).toBe(manifest.traits[0]!.threshold);
    await expect(screen({ ...again, mode: 'raw' })).rejects.toThrow(UsageError);
  });

  it('flags the highest also where several are equal, and a percentile of 100 flags the highest', async () => {
    const options = await scene();
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
    const options = await scene();
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

  it('draws rows at random, the same ones again', async () => {
    const options = await scene();
    const { manifest } = await screen({ ...options, sample: 5, seed: 1 });
    expect(manifest.counts['rows']).toBe(5);
  });
});
