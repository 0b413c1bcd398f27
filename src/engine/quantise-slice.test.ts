import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { writeTinyModel } from '../../test/helpers/tiny-models.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { decodeF16 } from '../model/float-formats.ts';
import { readWeight } from '../model/read-weights.ts';
import type { WeightSource } from '../model/weights.ts';
import { sha256 } from '../util/hash.ts';
import { quantiseSlice, type Slice } from './quantise-slice.ts';
import { quantiseRows } from './quantise.ts';

const format = { bits: 8, blockSize: 32 } as const;

/** Runs `test` on the embedding `[53, 24]` of a model on disk. */
async function withEmbedding(
  dtype: 'F32' | 'BF16',
  test: (source: WeightSource, numbers: Float32Array) => Promise<void>,
): Promise<void> {
  const folder = await writeTinyModel({ dtype });
  try {
    const { embedding } = (await loadCheckpoint(folder)).weights;
    await test(embedding, await readWeight(embedding));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The file that a slice was written to, and the hash it gave. */
async function write(slice: Slice): Promise<{ readonly bytes: Buffer; readonly hash: string }> {
  const path = join(await temporaryFolder(), 'out');
  const file = await open(path, 'w');
  try {
    return { hash: await quantiseSlice(slice, file.fd), bytes: await readFile(path) };
  } finally {
    await file.close();
  }
}

describe('quantiseSlice', () => {
  it.each(['F32', 'BF16'] as const)('writes the rows of %s that it is told to where it is told to', (dtype) =>
    withEmbedding(dtype, async (source, numbers) => {
      const target = [
        { offset: 100, byteLength: 5 * 32 },
        { offset: 40, byteLength: 5 * 4 },
      ];
      const { bytes, hash } = await write({ source, firstRow: 7, rows: 5, format, target });
      const rows = numbers.subarray(7 * 24, 12 * 24);
      const { q, scales } = quantiseRows(rows, 24, format, { name: '', firstRow: 0 });
      const scaleBytes = new Uint8Array(scales.buffer);
      expect(bytes.byteLength).toBe(260);
      expect(Uint8Array.from(bytes.subarray(100))).toEqual(q);
      expect(Uint8Array.from(bytes.subarray(40, 60))).toEqual(scaleBytes);
      expect(hash).toBe(sha256(Buffer.concat([q, scaleBytes])));
    }),
  );

  it('writes halves where those are wanted', () =>
    withEmbedding('F32', async (source, numbers) => {
      const target = [{ offset: 0, byteLength: 2 * 24 }];
      const { bytes, hash } = await write({ source, firstRow: 52, rows: 1, format: 'F16', target });
      const halves = new Float32Array(24);
      decodeF16(new Uint16Array(Uint8Array.from(bytes).buffer), halves);
      halves.forEach((half, i) => expect(half).toBeCloseTo(numbers[52 * 24 + i]!, 3));
      expect(hash).toBe(sha256(bytes));
    }));
});
