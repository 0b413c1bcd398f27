import fc from 'fast-check';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSafetensorsHeader } from './safetensors.ts';
import { floatTensor, readSafetensors } from './safetensors-content.ts';
import { safetensorsHeader, writeSafetensors } from './safetensors-writer.ts';
import type { TensorToWrite } from './safetensors-writer.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ParseError, StoreError, UsageError } from '../errors.ts';

const ones: TensorToWrite = { name: 'ones', shape: [2, 2], data: Float32Array.of(1, 1, 1, 1) };

describe('writeSafetensors', () => {
  it('writes what readSafetensors gives back, names and metadata of any text', async () => {
    const file = join(await temporaryFolder(), 'x.safetensors');
    const tensor = fc.record({
      name: fc.oneof(fc.constantFrom('__proto__', '0', '1', 'a.b'), fc.string({ unit: 'binary' })),
      data: fc.oneof(fc.float32Array({ maxLength: 9 }), fc.bigInt64Array({ maxLength: 9 })),
    });
    const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 });
    const metadata = fc.dictionary(fc.string({ unit: 'binary' }), fc.string(), { noNullPrototype: true });
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (list, metadata) => {
        fc.pre(list.every(({ name }) => name !== '__metadata__'));
        await writeSafetensors(
          file,
          list.map(({ name, data }) => ({ name, data, shape: [data.length] })),
          metadata,
        );
        const read = await readSafetensors(file);
        // By name: empty tensors share an offset, so the file itself gives them no order.
        expect(new Map([...read.tensors].map(([name, { data }]) => [name, data]))).toEqual(
          new Map(list.map(({ name, data }) => [name, data])),
        );
        expect(Object.fromEntries(read.metadata)).toEqual(metadata);
      }),
      { numRuns: 20 },
    );
  });

  it('keeps the given order of tensors, sorts metadata, pads the header to 8 bytes', async () => {
    const file = join(await temporaryFolder(), 'x.safetensors');
    const tensors: TensorToWrite[] = [
      { name: 'z', shape: [1], data: Int32Array.of(-1) },
      { name: '1', shape: [], data: Float64Array.of(0.5) },
      { name: 'half', shape: [1, 2], data: Uint16Array.of(0x3f80, 0x4000), dtype: 'BF16' },
    ];
    await writeSafetensors(file, tensors, { b: '2', a: '1' });
    const bytes = await readFile(file);
    const expected =
      '{"__metadata__":{"a":"1","b":"2"},"z":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},' +
      '"1":{"dtype":"F64","shape":[],"data_offsets":[4,12]},"half":{"dtype":"BF16","shape":[1,2],"data_offsets":[12,16]}}';
    const length = Number(bytes.readBigUInt64LE(0));
    expect(length % 8).toBe(0);
    expect(bytes.toString('utf8', 8, 8 + length)).toBe(expected.padEnd(length));
    expect(bytes.subarray(8 + length).toString('hex')).toBe('ffffffff000000000000e03f803f0040');
    const read = await readSafetensors(file);
    expect(read.tensors.get('half')).toEqual({ dtype: 'BF16', shape: [1, 2], data: Float32Array.of(1, 2) });
  });

  it('gives equal bytes for equal tensors, whatever the order of the metadata', async () => {
    const folder = await temporaryFolder();
    await writeSafetensors(join(folder, 'a'), [ones], { x: '1', y: '2' });
    await writeSafetensors(join(folder, 'b'), [ones], { y: '2', x: '1' });
    expect(await readFile(join(folder, 'a'))).toEqual(await readFile(join(folder, 'b')));
  });

  it('writes the part of a buffer that a view covers', async () => {
    const file = join(await temporaryFolder(), 'x.safetensors');
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    await writeSafetensors(file, [{ name: 'a', shape: [2], data }]);
    expect(floatTensor(await readSafetensors(file), 'a').data).toEqual(Float32Array.of(2, 3));
  });

  it.each<[string, readonly TensorToWrite[], RegExp]>([
    ['a name twice', [ones, ones], /"ones" cannot be written: expected a name of its own/],
    ['the reserved name', [{ ...ones, name: '__metadata__' }], /is not "__metadata__"/],
    [
      'an array of another size',
      [{ ...ones, shape: [3, 2] }],
      /expected 24 bytes for shape \[3, 2\], got 16/,
    ],
    [
      'a negative axis',
      [{ ...ones, shape: [-2, -2] }],
      /non-negative integers that F32 can fill, got \[-2, -2\]/,
    ],
  ])('refuses %s and writes nothing', async (_, tensors, message) => {
    const folder = await temporaryFolder();
    const writing = writeSafetensors(join(folder, 'x.safetensors'), tensors);
    await expect(writing).rejects.toThrow(UsageError);
    await expect(writing).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual([]);
  });

  it('says that the folder is missing', async () => {
    const file = join(await temporaryFolder(), 'none', 'x.safetensors');
    await expect(writeSafetensors(file, [ones])).rejects.toThrow(StoreError);
  });
});

describe('safetensorsHeader', () => {
  it('says where each tensor goes in a file that is written piece by piece', async () => {
    const file = join(await temporaryFolder(), 'x.safetensors');
    const outline = safetensorsHeader(
      [
        { name: 'a', dtype: 'F32', shape: [3] },
        { name: 'b', dtype: 'F32', shape: [0, 4] },
        { name: 'c', dtype: 'U8', shape: [2] },
      ],
      { trait: 'calm' },
    );
    expect(outline.fileLength).toBe(outline.bytes.byteLength + 14);
    const bytes = new Uint8Array(outline.fileLength);
    bytes.set(outline.bytes);
    await writeFile(file, bytes);
    const header = await readSafetensorsHeader(file);
    expect([...header.tensors.values()]).toEqual(outline.entries);
    expect(header.metadata.get('trait')).toBe('calm');
  });
});

describe('readSafetensors', () => {
  it('widens a tensor that is decoded in several pieces', async () => {
    const file = join(await temporaryFolder(), 'x.safetensors');
    const length = 2 * 4 * 1024 * 1024 + 5;
    // Bits of 1.0 with a counter in the mantissa, so that a piece in the wrong place shows.
    const data = Uint16Array.from({ length }, (_, i) => 0x3f80 + (i % 127));
    await writeSafetensors(file, [{ name: 'a', shape: [length], data, dtype: 'BF16' }]);
    const read = floatTensor(await readSafetensors(file), 'a').data;
    expect(read).toHaveLength(length);
    expect(read.findIndex((value, i) => value !== 1 + (i % 127) / 128)).toBe(-1);
  });

  it('refuses a dtype that JavaScript has no numbers for', async () => {
    const file = join(await temporaryFolder(), 'x.safetensors');
    await writeSafetensors(file, [{ name: 'q', shape: [2], data: Uint8Array.of(1, 2), dtype: 'F8_E4M3' }]);
    const reading = readSafetensors(file);
    await expect(reading).rejects.toThrow(ParseError);
    await expect(reading).rejects.toThrow(/tensor "q" to be F32, .* got F8_E4M3; convert it first/);
  });
});

describe('floatTensor', () => {
  it('names what is there instead', async () => {
    const file = join(await temporaryFolder(), 'x.safetensors');
    await writeSafetensors(file, [{ name: 'ids', shape: [1], data: BigInt64Array.of(1n) }]);
    const content = await readSafetensors(file);
    expect(() => floatTensor(content, 'v')).toThrow(
      /expected a tensor "v" of F32, F16 or BF16, got only "ids"/,
    );
    expect(() => floatTensor(content, 'ids')).toThrow(/"ids" of F32, F16 or BF16, got one of I64/);
  });
});
