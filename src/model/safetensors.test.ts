import fc from 'fast-check';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseHeader, readSafetensorsHeader } from './safetensors.ts';
import { outcome } from '../../test/helpers/outcome.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ParseError, UsageError } from '../errors.ts';

/** A file of that header and `dataBytes` of data; `length` is what its first word says. */
function fileOf(header: object | string, dataBytes: number, length?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? text.byteLength), true);
  bytes.set(text, 8);
  return bytes;
}

async function write(bytes: Uint8Array): Promise<string> {
  const file = join(await temporaryFolder(), 'x.safetensors');
  await writeFile(file, bytes);
  return file;
}

const f32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]): object => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

describe('readSafetensorsHeader', () => {
  it('gives every tensor its place in the file, in the order of the data', async () => {
    const header = {
      second: { dtype: 'I64', shape: [2, 1], data_offsets: [12, 28] },
      first: f32(0, 12, [3]),
      none: { dtype: 'U8', shape: [0, 5], data_offsets: [28, 28] },
      scalar: { dtype: 'BF16', shape: [], data_offsets: [28, 30] },
      __metadata__: { format: 'pt' },
    };
    const text = `${JSON.stringify(header)}   `;
    const file = await write(fileOf(text, 30));
    const read = await readSafetensorsHeader(file);
    const start = 8 + text.length;
    expect([...read.tensors.values()]).toEqual([
      { name: 'first', dtype: 'F32', shape: [3], offset: start, byteLength: 12 },
      { name: 'second', dtype: 'I64', shape: [2, 1], offset: start + 12, byteLength: 16 },
      { name: 'none', dtype: 'U8', shape: [0, 5], offset: start + 28, byteLength: 0 },
      { name: 'scalar', dtype: 'BF16', shape: [], offset: start + 28, byteLength: 2 },
    ]);
    expect([...read.metadata]).toEqual([['format', 'pt']]);
    expect(read).toMatchObject({ file, dataStart: start, fileLength: start + 30 });
  });

  it('reads a file without tensors', async () => {
    const read = await readSafetensorsHeader(await write(fileOf({}, 0)));
    expect(read.tensors.size).toBe(0);
  });

  const good = { a: f32(0, 8) };
  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(), /expected at least 8 bytes, got 0/],
    ['half a length word', new Uint8Array(5), /expected at least 8 bytes, got 5/],
    ['a truncated header', fileOf(good, 8).subarray(0, 30), /bytes of header, got 22 bytes after its length/],
    [
      'a header length beyond the limit',
      fileOf(good, 8, 2 ** 40),
      /at most 100000000 bytes, got a length of/,
    ],
    ['a header length beyond 2^53', new Uint8Array(64).fill(255), /got a length of 18446744073709552000/],
    ['a header length beyond the file', fileOf(good, 8, 5000), /expected 5000 bytes of header/],
    ['truncated data', fileOf(good, 7), /tensor "a": its data end at byte \d+ of a file of \d+ bytes/],
    ['data left over', fileOf(good, 9), /expected \d+ bytes in all by its header, got a file of/],
    ['a header that is no JSON', fileOf('{"a"', 0), /expected JSON/],
    ['a header that is a list', fileOf('[]', 0), /to start with "\{"/],
    ['a header that starts with a space', fileOf(' {}', 0), /to start with "\{"/],
    ['a name twice', fileOf('{"a":1,"a":2}', 0), /the key "a" appears twice/],
    ['an overlap', fileOf({ a: f32(0, 8), b: f32(4, 12) }, 12), /tensor "b": its data overlap/],
    ['a tensor on top of another', fileOf({ a: f32(0, 8), b: f32(0, 8) }, 8), /tensor "b": its data overlap/],
    ['a hole', fileOf({ a: f32(0, 4), b: f32(8, 12) }, 12), /tensor "b": its data leave a hole/],
    ['a hole at the start', fileOf({ a: f32(4, 8) }, 8), /tensor "a": its data leave a hole/],
    ['offsets out of range', fileOf({ a: f32(0, 80) }, 8), /tensor "a": its data end at byte/],
    ['offsets in the wrong order', fileOf({ a: f32(8, 0, [2]) }, 8), /begin ≤ end, got \[8,0\]/],
    [
      'one offset',
      fileOf({ a: { dtype: 'F32', shape: [], data_offsets: [0] } }, 4),
      /data_offsets \[begin, end\]/,
    ],
    ['no offsets', fileOf({ a: { dtype: 'F32', shape: [] } }, 4), /got nothing/],
    ['a negative offset', fileOf({ a: f32(-4, 0, [1]) }, 4), /got \[-4,0\]/],
    ['a fractional offset', fileOf({ a: f32(0, 4.5, [1]) }, 4), /got \[0,4\.5\]/],
    [
      'a length that does not follow from the shape',
      fileOf({ a: f32(0, 8, [3]) }, 8),
      /expected 12 bytes for F32 \[3\], got data_offsets of 8/,
    ],
    [
      'a shape beyond 2^53',
      fileOf({ a: f32(0, 8, [2 ** 50, 2 ** 50]) }, 8),
      /expected an impossible number of bytes/,
    ],
    ['a negative shape', fileOf({ a: f32(0, 8, [-2]) }, 8), /non-negative integers, got \[-2\]/],
    ['a shape that is no list', fileOf({ a: f32(0, 8, 2) }, 8), /non-negative integers, got 2/],
    [
      'a shape of a thousand axes',
      fileOf({ a: f32(0, 4, Array(1000).fill(1)) }, 4),
      /at most 64 .* got a list of 1000/,
    ],
    [
      'half a byte',
      fileOf({ a: { dtype: 'F4', shape: [3], data_offsets: [0, 2] } }, 2),
      /impossible number of bytes for F4/,
    ],
    [
      'an unknown dtype',
      fileOf({ a: { dtype: 'F31', shape: [], data_offsets: [0, 4] } }, 4),
      /a dtype of the format, got "F31"/,
    ],
    [
      'a dtype of JavaScript',
      fileOf({ a: { dtype: 'toString', shape: [], data_offsets: [0, 4] } }, 4),
      /got "toString"/,
    ],
    ['a tensor that is no object', fileOf({ a: 1 }, 0), /tensor "a": expected an object, got 1/],
    [
      'metadata that are no object',
      fileOf({ __metadata__: [] }, 0),
      /"__metadata__" to be an object, got \[\]/,
    ],
    ['metadata that are null', fileOf({ __metadata__: null }, 0), /"__metadata__" to be an object, got null/],
    ['metadata with a number', fileOf({ __metadata__: { a: 1 } }, 0), /metadata "a" to be a string, got 1/],
  ])('refuses %s', async (_, bytes, message) => {
    const file = await write(bytes);
    const reading = readSafetensorsHeader(file);
    await expect(reading).rejects.toThrow(ParseError);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(/x\.safetensors.*; download .*the file again\.$/);
    await expect(reading).rejects.toMatchObject({ details: { file } });
  });

  it('says that there is no file, or that it is a folder', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'sub'));
    await expect(readSafetensorsHeader(join(folder, 'none'))).rejects.toThrow(
      /nothing is there; check the path/,
    );
    await expect(readSafetensorsHeader(join(folder, 'sub'))).rejects.toThrow(UsageError);
    await expect(readSafetensorsHeader(join(folder, 'sub'))).rejects.toThrow(
      /got a folder; name the file itself/,
    );
  });

  it('parses a file of any bytes or throws a ParseError', async () => {
    const file = join(await temporaryFolder(), 'x.safetensors');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, soundLength) => {
        await writeFile(file, soundLength ? fileOf(new TextDecoder().decode(bytes), 0) : bytes);
        const { error } = await outcome(() => readSafetensorsHeader(file));
        expect([null, 'ParseError']).toContain(error);
      }),
      { numRuns: 100 },
    );
  });
});

describe('parseHeader', () => {
  const size = fc.oneof(fc.nat(20), fc.constantFrom(-1, 0.5, 2 ** 53, 1e308, '1', null));
  const sizes = fc.oneof(fc.array(size, { maxLength: 3 }), size);
  const entry = fc.record(
    { dtype: fc.constantFrom('F32', 'U8', 'F4', 'F33', 1), shape: sizes, data_offsets: sizes },
    { noNullPrototype: true, requiredKeys: [] },
  );
  const header = fc.dictionary(
    fc.oneof(fc.constantFrom('a', 'b', '__metadata__', '__proto__'), fc.string()),
    fc.oneof(entry, fc.jsonValue()),
  );

  it('parses any JSON object or throws a ParseError, and what it takes fills the file', async () => {
    await fc.assert(
      fc.asyncProperty(header, fc.nat(40), async (object, dataBytes) => {
        const json = new TextEncoder().encode(JSON.stringify(object));
        const read = await outcome(() => parseHeader(json, 'x', 8 + json.byteLength + dataBytes));
        expect([null, 'ParseError']).toContain(read.error);
        const lengths = [...(read.value?.tensors.values() ?? [])].map(({ byteLength }) => byteLength);
        const total = lengths.reduce((sum, length) => sum + length, 0);
        expect(total).toBe(read.value === null ? 0 : dataBytes);
      }),
      { numRuns: 1000 },
    );
  });

  it('notices any one changed offset, whatever the change', () => {
    const ends = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(
        ends,
        fc.nat(),
        fc.nat(1),
        fc.integer({ min: -9, max: 9 }),
        (lengths, which, side, change) => {
          fc.pre(change !== 0);
          const entries = lengths.map((length, i) => {
            const begin = lengths.slice(0, i).reduce((sum, n) => sum + n, 0);
            return { dtype: 'U8', shape: [length], data_offsets: [begin, begin + length] };
          });
          const total = lengths.reduce((sum, n) => sum + n, 0);
          const toJson = (): Uint8Array =>
            new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries.entries())));
          const sound = toJson();
          expect(parseHeader(sound, 'x', 8 + sound.byteLength + total).tensors.size).toBe(lengths.length);
          const changed = entries[which % entries.length]!;
          changed.data_offsets[side]! += change;
          const lying = toJson();
          expect(() => parseHeader(lying, 'x', 8 + lying.byteLength + total)).toThrow(ParseError);
        },
      ),
    );
  });
});
