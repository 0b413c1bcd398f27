import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ScreenOptions } from '../../src/apps/screen/screen.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { shippedModelFolder } from '../../src/store/shipped-model.ts';
import { randomStream } from '../../src/util/random.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { vectorOf } from './vectors.ts';

/** Twelve conversations, a vector at layer 2, and a cache of their own. */
export async function screenScene(): Promise<ScreenOptions & { folder: string }> {
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
  return {
    folder,
    out: join(folder, 'out'),
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
export async function folderContents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.\w+$/.test(name)).sort();
  const files = await Promise.all(
    names.map(async (name) => [name, await readFile(join(folder, name), 'base64')]),
  );
  return Object.fromEntries(files) as Record<string, string>;
}
