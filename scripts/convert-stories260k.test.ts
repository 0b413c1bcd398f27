import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { outcome } from '../test/helpers/outcome.ts';
import { temporaryFolder } from '../test/helpers/temporary-folder.ts';
import { describeWithShared, sharedPath } from '../test/helpers/shared.ts';
import { ParseError, StoreError, UsageError } from '../src/errors.ts';
import { loadTokenizer } from '../src/model/tokenizer.ts';
import type { TextTokenizer } from '../src/model/tokenizer.ts';
import { sha256 } from '../src/util/hash.ts';
import { convert } from './convert-stories260k.ts';
import { readLlama2cModel, readLlama2cVocabulary } from './llama2c.ts';
import type { Llama2cToken } from './llama2c.ts';

const shipped = fileURLToPath(new URL('../models/stories260K', import.meta.url));

/** A llama2.c checkpoint of the given header; its numbers count up from 0. */
function checkpoint(header: readonly number[], floats: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(28 + 4 * floats));
  header.forEach((value, i) => bytes.setInt32(4 * i, value, true));
  for (let i = 0; i < floats; i++) bytes.setFloat32(28 + 4 * i, i, true);
  return new Uint8Array(bytes.buffer);
}

// width 4, MLP 2, 1 block, 1 head, 1 key-value head, 2 tokens, 1 position
const small = [4, 2, 1, 1, 1, 2, 1] as const;
const smallFloats = 2 * 4 + 4 + 4 * 16 + 4 + 3 * 8 + 4 + 4;

describe('readLlama2cModel', () => {
  it('names the tensors and moves the rows of q and k from pairs to halves', () => {
    const { header, tensors } = readLlama2cModel(checkpoint(small, smallFloats));
    expect(header).toMatchObject({ width: 4, heads: 1, vocabSize: 2, tied: true });
    const q = tensors.find(({ name }) => name === 'model.layers.0.self_attn.q_proj.weight');
    expect(q?.shape).toEqual([4, 4]);
    // Rows 0, 1, 2, 3 start at 12, 16, 20, 24; pairs (0, 1), (2, 3) become (0, 2), (1, 3).
    expect([0, 4, 8, 12].map((i) => q?.data[i])).toEqual([12, 20, 16, 24]);
    const v = tensors.find(({ name }) => name === 'model.layers.0.self_attn.v_proj.weight');
    expect([0, 4, 8, 12].map((i) => v?.data[i])).toEqual([44, 48, 52, 56]);
    expect(tensors.map(({ name }) => name)).not.toContain('lm_head.weight');
  });

  it('reads an output matrix of its own where the vocabulary is negative', () => {
    const untied = checkpoint([4, 2, 1, 1, 1, -2, 1], smallFloats + 8);
    const { header, tensors } = readLlama2cModel(untied);
    expect(header).toMatchObject({ vocabSize: 2, tied: false });
    expect(tensors.at(-1)).toMatchObject({ name: 'lm_head.weight', shape: [2, 4] });
  });

  it.each([
    ['a file that is too short', checkpoint(small, smallFloats - 1)],
    ['a file that is too long', checkpoint(small, smallFloats + 1)],
    ['no header', new Uint8Array(10)],
    ['no heads', checkpoint([4, 2, 1, 0, 1, 2, 1], smallFloats)],
    ['a head of odd size', checkpoint([3, 2, 1, 1, 1, 2, 1], smallFloats)],
    ['huge sizes', checkpoint([1 << 24, 1 << 24, 1 << 24, 1, 1, 1 << 24, 1], smallFloats)],
  ])('refuses %s', (_, bytes) => {
    expect(() => readLlama2cModel(bytes)).toThrow(ParseError);
  });

  it('throws nothing but the errors of this package, whatever the bytes', async () => {
    const sizes = fc.array(fc.integer({ min: -3, max: 9 }), { minLength: 7, maxLength: 7 });
    const bytes = fc.oneof(
      fc.uint8Array(),
      sizes.map((header) => checkpoint(header, 50)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.nat(5), async (content, vocabSize) => {
        const model = await outcome(() => readLlama2cModel(content));
        const vocabulary = await outcome(() => readLlama2cVocabulary(content, vocabSize));
        expect([null, 'ParseError']).toEqual(expect.arrayContaining([model.error, vocabulary.error]));
      }),
    );
  });
});

describeWithShared('the shipped model', () => {
  const modelFile = sharedPath('data/models/stories260K/stories260K.bin');
  const vocabularyFile = sharedPath('data/models/stories260K/tok512.bin');

  it('is what the script makes, byte for byte', async () => {
    const out = await temporaryFolder();
    const names = await convert(modelFile, vocabularyFile, out);
    expect(names).toHaveLength(5);
    for (const name of names) {
      const hash = async (folder: string): Promise<string> => sha256(await readFile(join(folder, name)));
      expect([name, await hash(out)]).toEqual([name, await hash(shipped)]);
    }
  });

  it('cannot be made from files that are missing, malformed, or where nothing can be written', async () => {
    const folder = await temporaryFolder();
    const half = join(folder, 'half.bin');
    await writeFile(half, (await readFile(modelFile)).subarray(0, 500_000));
    await expect(convert(half, vocabularyFile, folder)).rejects.toThrow(ParseError);
    await expect(convert(modelFile, half, folder)).rejects.toThrow(ParseError);
    await expect(convert(join(folder, 'none'), vocabularyFile, folder)).rejects.toThrow(UsageError);
    await expect(convert(modelFile, vocabularyFile, join(half, 'below'))).rejects.toThrow(StoreError);
  });

  describe('its tokenizer', () => {
    let tokenizer: TextTokenizer;
    let tokens: Llama2cToken[];
    beforeAll(async () => {
      tokenizer = (await loadTokenizer(shipped, 512))!;
      tokens = readLlama2cVocabulary(await readFile(vocabularyFile), 512);
    });

    it('encodes stories as llama2.c does', async () => {
      const stories = await readFile(sharedPath('data/models/stories260K/stories260K.md'), 'utf8');
      const words = fc.array(fc.constantFrom(...stories.split(/(\s)/)), { maxLength: 30 });
      const text = fc.oneof(
        fc.string({ unit: 'grapheme' }),
        words.map((parts) => parts.join('')),
      );
      const check = (story: string): void => {
        expect(tokenizer.encode(story, { special: false })).toEqual(llama2cEncode(story, tokens));
      };
      check(stories);
      fc.assert(fc.property(text, check));
    });
  });
});

/** The algorithm of llama2.c: characters, else their bytes; then the neighbours whose union scores best, first ones first. */
function llama2cEncode(text: string, tokens: readonly Llama2cToken[]): number[] {
  if (text === '') return [];
  const idOf = new Map(tokens.map((token, id) => [token.text, id]));
  const ids = Array.from(` ${text}`).flatMap((character) => {
    const id = idOf.get(character);
    return id === undefined ? [...Buffer.from(character)].map((byte) => byte + 3) : [id];
  });
  const textOf = (id: number | undefined): string => (id === undefined ? '' : (tokens[id]?.text ?? ''));
  for (;;) {
    let best = { score: -Infinity, at: -1, id: -1 };
    for (let at = 0; at + 1 < ids.length; at++) {
      const id = idOf.get(textOf(ids[at]) + textOf(ids[at + 1]));
      const score = id === undefined ? -Infinity : (tokens[id]?.score ?? -Infinity);
      if (id !== undefined && score > best.score) best = { score, at, id };
    }
    if (best.at < 0) return ids;
    ids.splice(best.at, 2, best.id);
  }
}
