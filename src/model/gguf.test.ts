import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcome } from '../../test/helpers/outcome.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { sha256 } from '../util/hash.ts';
import { type GgufEntry, encodeGguf, writeGguf } from './gguf-writer.ts';
import { readGguf } from './gguf.ts';

const metadata = new Map<string, GgufEntry>([
  ['general.architecture', { type: 'string', value: 'controlvector' }],
  ['controlvector.layer_count', { type: 'u32', value: 2 }],
  ['alpha', { type: 'f32', value: 1.5 }],
]);
const vectors = [
  { name: 'direction.1', data: Float32Array.of(1, 2, 3) },
  { name: 'direction.2', data: Float32Array.of(-1, 0.25, 1e-9) },
];

async function readBytes(bytes: Uint8Array): ReturnType<typeof readGguf> {
  const path = join(await temporaryFolder(), 'v.gguf');
  await writeFile(path, bytes);
  return readGguf(path);
}

/** The bytes with a number written over some of them. */
function patched(at: number, value: bigint | number): Uint8Array {
  const bytes = Uint8Array.from(encodeGguf(metadata, vectors));
  const view = new DataView(bytes.buffer);
  if (typeof value === 'bigint') view.setBigUint64(at, value, true);
  else view.setUint32(at, value, true);
  return bytes;
}

describe('GGUF files', () => {
  it('are read as they were written', async () => {
    const path = join(await temporaryFolder(), 'v.gguf');
    await writeGguf(path, metadata, vectors);
    const file = await readGguf(path);
    expect(Object.fromEntries(file.metadata)).toEqual({
      'general.architecture': 'controlvector',
      'controlvector.layer_count': 2,
      alpha: 1.5,
    });
    expect([...file.tensors]).toEqual(
      vectors.map(({ name, data }) => [name, { shape: [3], type: 'F32', data }]),
    );
  });

  it("are the bytes that Python's gguf was seen to read", () => {
    // gguf 0.19.0: three keys of types STRING, UINT32 and FLOAT32, two tensors equal to the ones above.
    expect(sha256(encodeGguf(metadata, vectors))).toBe(
      '214658b86cd438ef55a3f50120b745119938b0b943463f6afee402abc41747f5',
    );
  });

  it.each([
    ['another file', patched(0, 0), 'expected it to begin with "GGUF"'],
    ['an unknown version', patched(4, 9), 'expected version 2 or 3, got 9'],
    ['2⁶⁰ tensors', patched(8, 2n ** 60n), 'its tensor count is 1152921504606846976'],
    ['a million tensors', patched(8, 1_000_000n), 'expected at most 10000 tensors, got 1000000'],
    ['a million keys', patched(16, 1_000_000n), 'expected at most 10000 keys, got 1000000'],
    ['a key of a gigabyte', patched(24, 2n ** 30n), 'expected texts of at most 1048576 bytes'],
    ['a value of no type', patched(24 + 8 + 20, 77), 'a value of unknown type 77'],
  ])('with %s are refused', async (_, bytes, problem) => {
    await expect(readBytes(bytes)).rejects.toThrow(problem);
  });

  it('are refused wherever they are cut off', async () => {
    const whole = encodeGguf(metadata, vectors);
    // The last 20 bytes only fill up to a multiple of 32.
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 21 }), async (length) => {
        const { error } = await outcome(() => readBytes(whole.subarray(0, length)));
        expect(error).toBe('ParseError');
      }),
      { numRuns: 60 },
    );
  });

  it('never end in anything but a file or a ParseError, whatever bytes are changed', async () => {
    const whole = encodeGguf(metadata, vectors);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), async (at, value) => {
        const bytes = Uint8Array.from(whole);
        bytes[at] = value;
        const { error } = await outcome(() => readBytes(bytes));
        expect(['ParseError', null]).toContain(error);
      }),
      { numRuns: 150 },
    );
  });
});
