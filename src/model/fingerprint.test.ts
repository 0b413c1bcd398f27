import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkpointFingerprint } from './fingerprint.ts';
import { writeSafetensors } from './safetensors-writer.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';

/** A folder with a config.json and a weight file of 1 MB, larger than what is sampled of it. */
async function writeFiles(): Promise<{ file: null; remote: null; folder: string; weightFiles: [string] }> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'config.json'), '{}');
  const file = join(folder, 'model.safetensors');
  await writeSafetensors(file, [{ name: 'a', shape: [250_000], data: new Float32Array(250_000) }]);
  return { file: null, remote: null, folder, weightFiles: [file] };
}

/** Length of that weight file: a header of 80 bytes with its length word, and the data. */
const fileBytes = 80 + 1_000_000;

/** Changes the byte at a position, counted from the end where it is negative. */
async function flipBit(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  await writeFile(file, bytes);
}

describe('checkpointFingerprint', () => {
  it('is the same for a copy, wherever it lies and whatever its weights are called', async () => {
    const [first, second] = [await writeFiles(), await writeFiles()];
    expect((await stat(first.weightFiles[0])).size).toBe(fileBytes);
    const moved = join(second.folder, 'blob');
    await rename(second.weightFiles[0], moved);
    const fingerprint = await checkpointFingerprint(first);
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(await checkpointFingerprint({ ...second, weightFiles: [moved] })).toBe(fingerprint);
  });

  it.each<[string, number]>([
    ['its first 64 KiB, between two pages', 58_000],
    ['its last 64 KiB, between two pages', -60_000],
    ['its last byte', -1],
    ['the first byte of the page in the middle', Math.floor(((fileBytes - 4096) * 31) / 63)],
    ['the last byte of that page', Math.floor(((fileBytes - 4096) * 31) / 63) + 4095],
  ])('changes with %s', async (_, at) => {
    const files = await writeFiles();
    const before = await checkpointFingerprint(files);
    await flipBit(files.weightFiles[0], at);
    expect(await checkpointFingerprint(files)).not.toBe(before);
  });

  it('changes with any part of a long header', async () => {
    const files = await writeFiles();
    await writeSafetensors(files.weightFiles[0], [], { note: 'x'.repeat(500_000) });
    const before = await checkpointFingerprint(files);
    // Pages lie some 8,000 bytes apart in this file: one of the two is in none of them.
    for (const at of [202_000, 206_000]) {
      await flipBit(files.weightFiles[0], at);
      expect(await checkpointFingerprint(files)).not.toBe(before);
      await flipBit(files.weightFiles[0], at);
    }
  });

  it('changes with config.json', async () => {
    const files = await writeFiles();
    const before = await checkpointFingerprint(files);
    await writeFile(join(files.folder, 'config.json'), '{"rope_theta":1}');
    expect(await checkpointFingerprint(files)).not.toBe(before);
  });

  it('takes a file smaller than one sample', async () => {
    const files = await writeFiles();
    await writeSafetensors(files.weightFiles[0], []);
    expect(await checkpointFingerprint(files)).toMatch(/^[0-9a-f]{64}$/);
  });
});
