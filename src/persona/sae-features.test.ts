import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { featureCosines, topFeatures } from './sae-features.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ParseError, UsageError } from '../errors.ts';
import { writeSafetensors } from '../model/safetensors-writer.ts';
import { openSaeDecoder, readFeatures } from '../store/sae-decoder.ts';
import { randomStream } from '../util/random.ts';
import { cosine } from '../util/vectors.ts';

const [features, width] = [70, 6];
const random = randomStream(0, 'sae');
/** `[features, width]`; feature 3 has no direction. */
const byRow = Float32Array.from({ length: features * width }, (_, i) =>
  Math.floor(i / width) === 3 ? 0 : random.normal(),
);
const byColumn = Float32Array.from(
  { length: features * width },
  (_, i) => byRow[(i % features) * width + Math.floor(i / features)]!,
);
const direction = Float32Array.of(1, -2, 0.5, 0, 3, 1);
const expected = Array.from({ length: features }, (_, id) =>
  id === 3 ? 0 : cosine(byRow.subarray(id * width, (id + 1) * width), direction),
);

async function fileOf(name: string, shape: readonly number[], data: Float32Array): Promise<string> {
  const file = join(await temporaryFolder(), 'sae.safetensors');
  await writeSafetensors(file, [
    { name: 'W_enc', shape: [1], data: Float32Array.of(0) },
    { name, shape, data },
  ]);
  return file;
}

describe('featureCosines', () => {
  it.each([
    ['W_dec', [features, width], byRow],
    ['decoder.weight', [width, features], byColumn],
  ] as const)('reads %s of shape %j', async (name, shape, data) => {
    const decoder = await openSaeDecoder(await fileOf(name, shape, data), width);
    expect(decoder.features).toBe(features);
    const cosines = await featureCosines(direction, decoder);
    for (const [id, value] of expected.entries()) expect(cosines[id]).toBeCloseTo(value, 6);
    const [fourth, last] = await readFeatures(decoder, [4, features - 1]);
    expect(fourth).toEqual(byRow.slice(4 * width, 5 * width));
    expect(last).toEqual(byRow.slice(-width));
  });

  it('reads a square matrix as its name has it', async () => {
    const square = Float32Array.of(1, 0, 1, 0, 1, 0, 0, 0, 1);
    const along = Float32Array.of(1, 0, 0);
    const rows = await openSaeDecoder(await fileOf('W_dec', [3, 3], square), 3);
    expect([...(await featureCosines(along, rows))]).toEqual([expect.closeTo(Math.SQRT1_2, 9), 0, 0]);
    const columns = await openSaeDecoder(await fileOf('decoder.weight', [3, 3], square), 3);
    expect([...(await featureCosines(along, columns))]).toEqual([1, 0, expect.closeTo(Math.SQRT1_2, 9)]);
  });

  it('refuses what has no decoder, or one of another width, and a direction of none', async () => {
    const file = await fileOf('W_dec', [features, width], byRow);
    await expect(openSaeDecoder(file, width, 'W_doc')).rejects.toThrow(/"W_doc".*got W_enc, W_dec/);
    await expect(openSaeDecoder(file, 7)).rejects.toThrow(ParseError);
    await expect(openSaeDecoder(await fileOf('other', [1], Float32Array.of(1)), 7)).rejects.toThrow(
      UsageError,
    );
    const decoder = await openSaeDecoder(file, width);
    await expect(featureCosines(new Float32Array(width), decoder)).rejects.toThrow(UsageError);
  });
});

describe('topFeatures', () => {
  it('ranks by cosine, or by its size, of equals the first', () => {
    const cosines = Float64Array.of(0.1, -0.9, 0.5, 0.5);
    expect(topFeatures(cosines, 3).map(({ id }) => id)).toEqual([2, 3, 0]);
    expect(topFeatures(cosines, 2, 'size').map(({ id }) => id)).toEqual([1, 2]);
  });
});
