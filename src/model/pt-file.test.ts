import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcome } from '../../test/helpers/outcome.ts';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { readPtTensor } from './pt-file.ts';

interface Entry {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Lies that the directory tells. */
  readonly method?: number;
  readonly crc?: number;
  readonly size?: number;
  readonly flags?: number;
}

/** A ZIP archive as PyTorch writes it, but for the padding. */
function zip(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes, method = 0, crc = crc32(bytes), size = bytes.length, flags = 0 } of entries) {
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(flags, 8);
    central.writeUInt16LE(method, 10);
    central.writeUInt32LE(crc, 16);
    central.writeUInt32LE(size, 20);
    central.writeUInt32LE(size, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(offset, 42);
    parts.push(local, Buffer.from(name), Buffer.from(bytes));
    directory.push(central, Buffer.from(name));
    offset += 30 + name.length + bytes.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(
    directory.reduce((sum, piece) => sum + piece.length, 0),
    12,
  );
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

const text = (value: string): Buffer => {
  const length = Buffer.alloc(5);
  length[0] = 0x58;
  length.writeUInt32LE(value.length, 1);
  return Buffer.concat([length, Buffer.from(value)]);
};
const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes[0] = 0x4a;
  bytes.writeInt32LE(value, 1);
  return bytes;
};
const global = (name: string): Buffer => Buffer.from(`c${name.replace(' ', '\n')}\n`);
const op = (...codes: number[]): Buffer => Buffer.from(codes);
const tuple = (...items: Buffer[]): Buffer => Buffer.concat([op(0x28), ...items, op(0x74)]);

interface TensorText {
  readonly storage?: string;
  readonly count?: number;
  readonly offset?: number;
  readonly shape?: readonly number[];
  readonly strides?: readonly number[];
  readonly rebuild?: string;
}

/** The pickle of a tensor. */
function pickle({
  storage = 'torch FloatStorage',
  count = 6,
  offset = 0,
  shape = [2, 3],
  strides = [3, 1],
  rebuild = 'torch._utils _rebuild_tensor_v2',
}: TensorText = {}): Buffer {
  const place = tuple(text('storage'), global(storage), text('0'), text('cpu'), int(count));
  const hooks = Buffer.concat([global('collections OrderedDict'), op(0x29, 0x52)]);
  const parts = [
    Buffer.concat([place, op(0x51)]),
    int(offset),
    tuple(...shape.map(int)),
    tuple(...strides.map(int)),
    op(0x89),
    hooks,
  ];
  return Buffer.concat([op(0x80, 2), global(rebuild), tuple(...parts), op(0x52, 0x2e)]);
}

const bytesOf = (array: Float32Array | Float64Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const numbers = bytesOf(Float32Array.of(1, -2, 3, 4.5, -5, 6));

async function write(entries: readonly Entry[] | Buffer): Promise<string> {
  const path = join(await temporaryFolder(), 'vector.pt');
  await writeFile(path, Buffer.isBuffer(entries) ? entries : zip(entries));
  return path;
}

const tensorFile = (description: Buffer, data: Uint8Array = numbers): Promise<string> =>
  write([
    { name: 'vector/data.pkl', bytes: description },
    { name: 'vector/byteorder', bytes: Buffer.from('little') },
    { name: 'vector/data/0', bytes: data },
  ]);

describe('a tensor of torch.save', () => {
  it('is read, whatever its element type', async () => {
    const found = await readPtTensor(await tensorFile(pickle()));
    expect(found).toEqual({ shape: [2, 3], data: Float32Array.of(1, -2, 3, 4.5, -5, 6) });
    const double = bytesOf(Float64Array.of(0.1, 2, 3, 4, 5, 6));
    const wide = await readPtTensor(await tensorFile(pickle({ storage: 'torch DoubleStorage' }), double));
    expect(wide.data).toEqual(Float32Array.of(0.1, 2, 3, 4, 5, 6));
    const half = bytesOf(Uint16Array.of(0x3c00, 0xc000, 0x3800, 0, 0x3c00, 0x3c00));
    const narrow = await readPtTensor(await tensorFile(pickle({ storage: 'torch HalfStorage' }), half));
    expect([...narrow.data]).toEqual([1, -2, 0.5, 0, 1, 1]);
    const brain = bytesOf(Uint16Array.of(0x3f80, 0xc000, 0x3f00, 0, 0x3f80, 0x3f80));
    const cut = await readPtTensor(await tensorFile(pickle({ storage: 'torch BFloat16Storage' }), brain));
    expect([...cut.data]).toEqual([1, -2, 0.5, 0, 1, 1]);
  });

  it('is put in row-major order, and a parameter is its tensor', async () => {
    const transposed = await readPtTensor(await tensorFile(pickle({ strides: [1, 2] })));
    expect([...transposed.data]).toEqual([1, 3, -5, -2, 4.5, 6]);
    const part = await readPtTensor(await tensorFile(pickle({ offset: 2, shape: [2, 2], strides: [2, 1] })));
    expect([...part.data]).toEqual([3, 4.5, -5, 6]);
    const inner = pickle().subarray(2, -1);
    const parameter = Buffer.concat([
      op(0x80, 2),
      global('torch._utils _rebuild_parameter'),
      tuple(inner, op(0x88), Buffer.concat([global('collections OrderedDict'), op(0x29, 0x52)])),
      op(0x52, 0x2e),
    ]);
    expect((await readPtTensor(await tensorFile(parameter))).shape).toEqual([2, 3]);
  });
});

describe('a hostile .pt file', () => {
  it.each<[string, Buffer, string]>([
    [
      'names a program',
      Buffer.concat([op(0x80, 2), global('os system'), text('rm'), op(0x85, 0x52, 0x2e)]),
      'got "os system", which could run code',
    ],
    [
      'names one by the newer operation',
      Buffer.concat([op(0x80, 4), text('builtins'), text('eval'), op(0x93, 0x2e)]),
      'got "builtins eval", which could run code',
    ],
    [
      'calls what is no tensor',
      pickle({ rebuild: 'collections OrderedDict' }),
      'expected one tensor, got something else',
    ],
    [
      'builds objects',
      Buffer.concat([op(0x80, 2), op(0x7d, 0x7d, 0x62, 0x2e)]),
      'operation 0x62 is none that describes a tensor',
    ],
    ['is of the oldest protocol', op(0x80, 0, 0x2e), 'expected protocol 2 to 5'],
    ['takes from an empty stack', op(0x80, 2, 0x52), 'its description is damaged'],
    ['closes a tuple that was not opened', op(0x80, 2, 0x74, 0x2e), 'its description is damaged'],
    ['recalls what was not kept', op(0x80, 2, 0x68, 9, 0x2e), 'its description is damaged'],
    ['never ends', op(0x80, 2, 0x4e), 'its description is cut off'],
    ['has another element type', pickle({ storage: 'torch LongStorage' }), 'which could run code'],
    [
      'claims more numbers than there are',
      pickle({ count: 7 }),
      'expected 7 numbers of 4 bytes, got 24 bytes',
    ],
    [
      'has a shape beyond its numbers',
      pickle({ shape: [3, 3] }),
      'its shape [3, 3] does not fit its 6 numbers',
    ],
    ['has strides beyond its numbers', pickle({ strides: [4, 1] }), 'does not fit its 6 numbers'],
    ['begins before its numbers', pickle({ offset: -1 }), 'does not fit its 6 numbers'],
    [
      'repeats few numbers without end',
      pickle({ shape: [100_000, 100_000], strides: [0, 0] }),
      'does not fit its 6 numbers',
    ],
    ['has a negative axis', pickle({ shape: [-2, 3] }), 'its shape is damaged'],
  ])('that %s is refused', async (_, description, sentence) => {
    const path = await tensorFile(description);
    await expect(readPtTensor(path)).rejects.toThrow(sentence);
    await expect(readPtTensor(path)).rejects.toThrow('vector.pt" is no tensor that can be read');
  });

  const data: Entry = { name: 'v/data/0', bytes: numbers };
  it.each<[string, readonly Entry[] | Buffer, string]>([
    ['is no archive', Buffer.from('not a zip file at all, really'), 'expected a ZIP directory'],
    [
      'is cut off',
      zip([{ name: 'v/data.pkl', bytes: pickle() }, data]).subarray(0, 60),
      'expected a ZIP directory',
    ],
    ['has no description', [data], 'got an archive without "data.pkl"'],
    ['has no numbers', [{ name: 'v/data.pkl', bytes: pickle() }], 'its numbers ("data/0") are missing'],
    [
      'packs its files',
      [{ name: 'v/data.pkl', bytes: pickle(), method: 8 }],
      'expected "v/data.pkl" to be stored, got it packed',
    ],
    ['encrypts them', [{ name: 'v/data.pkl', bytes: pickle(), flags: 1 }], 'is encrypted'],
    [
      'has a wrong checksum',
      [{ name: 'v/data.pkl', bytes: pickle(), crc: 1 }],
      'the checksum of "v/data.pkl" is wrong',
    ],
    ['claims sizes beyond its end', [{ name: 'v/data.pkl', bytes: pickle(), size: 1e9 }], 'is cut off'],
    ['has a name twice', [data, data], 'two files called "v/data/0"'],
    [
      'is big-endian',
      [
        { name: 'v/data.pkl', bytes: pickle() },
        { name: 'v/byteorder', bytes: Buffer.from('big') },
      ],
      'not little-endian',
    ],
    [
      'has a description without end',
      [{ name: 'v/data.pkl', bytes: Buffer.alloc(100_000) }],
      'of description, got 100000',
    ],
  ])('that %s is refused', async (_, entries, sentence) => {
    await expect(readPtTensor(await write(entries))).rejects.toThrow(sentence);
  });

  it('with any byte changed is read or refused, never anything else', async () => {
    const good = zip([
      { name: 'v/data.pkl', bytes: pickle() },
      { name: 'v/data/0', bytes: numbers },
    ]);
    const folder = await temporaryFolder();
    await mkdir(folder, { recursive: true });
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (place, value) => {
        const bytes = Buffer.from(good);
        bytes[place] = value;
        const path = join(folder, 'changed.pt');
        await writeFile(path, bytes);
        const { error } = await outcome(() => readPtTensor(path));
        expect([null, 'ParseError']).toContain(error);
      }),
      { numRuns: 200 },
    );
  });

  it('is refused where nothing is', async () => {
    await expect(readPtTensor('/nowhere/v.pt')).rejects.toThrow('nothing is there');
  });
});

describeWithShared("the authors' own vectors", () => {
  it('are read', async () => {
    const path = sharedPath('data/persona/vectors/Qwen3-4B/evil_response_avg_diff.pt');
    const { shape, data } = await readPtTensor(path);
    expect(shape).toEqual([37, 2560]);
    const norm = (row: number): number =>
      Math.sqrt(data.subarray(row * 2560, (row + 1) * 2560).reduce((sum, x) => sum + x * x, 0));
    // The norms that the reference documents for this very file.
    expect(norm(35)).toBeCloseTo(98.3, 1);
    expect(norm(36)).toBeCloseTo(47.2, 1);
    expect(norm(0)).toBeCloseTo(0.046, 3);
    const bytes = await readFile(path);
    const first = bytes.readFloatLE(bytes.indexOf(Buffer.from(data.buffer, 0, 64)));
    expect(first).toBe(data[0]);
  });
});
