import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { Generated } from '../../src/engine/types.ts';
import { describeWithShared, sharedPath } from '../helpers/shared.ts';

const shipped = fileURLToPath(new URL('../../models/stories260K', import.meta.url));

/** The likeliest continuation of one prompt. */
async function greedy(
  folder: string,
  prompt: readonly number[] | string,
  maxTokens: number,
): Promise<Generated> {
  const model = await loadModel(folder);
  try {
    const ids = typeof prompt === 'string' ? model.checkpoint.tokenizer!.encodePrompt(prompt) : prompt;
    for await (const row of model.generate([{ ids }], { maxTokens, ignoreEos: true })) return row;
  } finally {
    await model.close();
  }
  throw new Error('no result');
}

describeWithShared('models that tell stories', () => {
  it('stories260K tells the story that its authors publish, to the last letter', async () => {
    const page = await readFile(sharedPath('data', 'models', 'stories260K', 'stories260K.md'), 'utf8');
    const [story] = /Once upon a time[^`]*/.exec(page.slice(page.indexOf('-t 0.0'))) ?? [];
    const { text } = await greedy(shipped, [1], 256);
    expect(text?.trim()).toBe(story?.trim());
  });

  it('TinyStories-656K, whose tied weight is stored under an alias, tells a story in whole sentences', async () => {
    const folder = sharedPath('data', 'models', 'TinyStories-656K');
    const { text } = await greedy(folder, 'Once upon a time', 120);
    expect(text).toMatch(/^, a little girl named Lily lived in a small house with her mom/);
    const words = (text ?? '').toLowerCase().match(/[a-z']+/g) ?? [];
    expect(words.length).toBeGreaterThan(80);
    expect(new Set(words).size).toBeGreaterThan(35);
  });
});
