import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcome } from '../../test/helpers/outcome.ts';
import { sha256 } from './hash.ts';
import { decompressZstd } from './zstd.ts';

interface Case {
  readonly name: string;
  readonly compressed: string;
  readonly size: number;
  readonly sha256: string;
}

const { cases } = JSON.parse(readFileSync(new URL('./zstd.expected.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Case[];
};
const bytesOf = ({ compressed }: Case): Uint8Array => Uint8Array.from(Buffer.from(compressed, 'base64'));

describe('zstd', () => {
  it.each(cases)('decompresses $name as the reference does', (one) => {
    const bytes = decompressZstd(bytesOf(one), one.size);
    expect(sha256(bytes)).toBe(one.sha256);
  });

  it('refuses another size than the one that is expected', () => {
    const words = cases.find(({ name }) => name === 'words, level 1')!;
    for (const size of [words.size - 1, words.size + 1, 0])
      expect(() => decompressZstd(bytesOf(words), size)).toThrow(/it holds (more than the )?\d+ bytes/);
  });

  it('gives data or refuses them, whatever bytes are changed or cut off', async () => {
    const short = cases.filter(({ compressed }) => compressed.length < 20_000);
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...short),
        fc.array(change, { maxLength: 3 }),
        fc.nat(),
        async (one, changes, cut) => {
          const bytes = bytesOf(one);
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          const kept = cut % 2 === 0 ? bytes : bytes.subarray(0, cut % bytes.length);
          const { error } = await outcome(() => decompressZstd(kept, one.size));
          expect([null, 'ParseError']).toContain(error);
        },
      ),
      { numRuns: 1500 },
    );
  });
});
