import { readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { sha256 } from '../util/hash.ts';
import { readPtTensor } from './pt-file.ts';
import { encodePtTensor, writePtTensor } from './pt-writer.ts';
import { zipEntries } from './zip-entries.ts';

describe('writePtTensor', () => {
  it('writes what reads back equal, whatever the shape', async () => {
    const path = join(await temporaryFolder(), 'v.pt');
    const sides = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 0, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(sides, fc.string({ minLength: 1, maxLength: 12 }), async (shape, stem) => {
        const count = shape.reduce((product, side) => product * side, 1);
        const data = Float32Array.from({ length: count }, (_, i) => Math.sin(i) * 10 ** (i % 7));
        await writePtTensor(path, { shape, data }, stem);
        expect(await readPtTensor(path)).toEqual({ shape, data });
      }),
      { numRuns: 40 },
    );
  });

  it('lays entries out as PyTorch does, payloads at multiples of 64', () => {
    const bytes = encodePtTensor({ shape: [2, 2], data: Float32Array.of(1, -2, 0.5, 3e-9) }, 'evil');
    const entries = zipEntries(bytes, 'v.pt');
    expect(entries.map(({ name }) => name)).toEqual([
      'evil/data.pkl',
      'evil/byteorder',
      'evil/data/0',
      'evil/version',
      'evil/.data/serialization_id',
    ]);
    for (const entry of entries) expect((entry.bytes.byteOffset - bytes.byteOffset) % 64).toBe(0);
  });

  it('writes the bytes that torch.load(weights_only=True) was seen to read', () => {
    // torch 2.13.0 read these very bytes, also with mmap=True, as [[1, -2], [0.5, 3e-9]] in float32.
    const bytes = encodePtTensor({ shape: [2, 2], data: Float32Array.of(1, -2, 0.5, 3e-9) }, 'evil');
    expect(sha256(bytes)).toBe('98bed16dcee2f4ecfc161fed062feb39c8144b0e4063f797295d2fc064578daf');
  });

  it('writes nothing where the folder is missing', async () => {
    const folder = await temporaryFolder();
    const tensor = { shape: [1], data: Float32Array.of(1) };
    await expect(writePtTensor(join(folder, 'no', 'v.pt'), tensor, 'v')).rejects.toThrow('does not exist');
    expect(await readdir(folder)).toEqual([]);
  });
});

describeWithShared("all of the authors' vectors", () => {
  it('are read, written and read again equal in value', async () => {
    const folder = sharedPath('data/persona/vectors/Qwen3-4B');
    const names = (await readdir(folder)).filter((name) => name.endsWith('.pt'));
    expect(names).toHaveLength(21);
    const copy = join(await temporaryFolder(), 'copy.pt');
    for (const name of names) {
      const tensor = await readPtTensor(join(folder, name));
      expect(tensor.shape).toEqual([37, 2560]);
      await writePtTensor(copy, tensor, basename(name, '.pt'));
      const again = await readPtTensor(copy);
      expect(again.shape).toEqual(tensor.shape);
      expect(Buffer.from(again.data.buffer).equals(Buffer.from(tensor.data.buffer))).toBe(true);
    }
  });

  it('are refused when a byte of the numbers is another', async () => {
    const bytes = await readFile(sharedPath('data/persona/vectors/Qwen3-4B/evil_response_avg_diff.pt'));
    const path = join(await temporaryFolder(), 'broken.pt');
    bytes[200_000]! ^= 1;
    await writeFile(path, bytes);
    await expect(readPtTensor(path)).rejects.toThrow(
      'the checksum of "evil_response_avg_diff/data/0" is wrong',
    );
  });
});
