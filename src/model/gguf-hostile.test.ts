/** GGUF files that lie: whatever stands in one, loading ends in a model or in a sentence, and believes no length. */

import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { outcome } from '../../test/helpers/outcome.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { loadCheckpoint } from './checkpoint.ts';
import { readGgufHeader } from './gguf-header.ts';
import { encodeGguf, type GgufEntry, type GgufTensorToWrite } from './gguf-writer.ts';

const u32 = (value: number): GgufEntry => ({ type: 'u32', value });
const text = (value: string | readonly string[]): GgufEntry => ({ type: 'string', value });
const tokens = ['<unk>', '<s>', '</s>', '<0x0A>', '\u2581a', 'b', '\u2581', 'a'];

const metadata = new Map<string, GgufEntry>([
  ['general.architecture', text('llama')],
  ['llama.block_count', u32(1)],
  ['llama.context_length', u32(64)],
  ['llama.embedding_length', u32(32)],
  ['llama.feed_forward_length', u32(32)],
  ['llama.attention.head_count', u32(2)],
  ['llama.attention.head_count_kv', u32(1)],
  ['llama.attention.layer_norm_rms_epsilon', { type: 'f32', value: 1e-5 }],
  ['llama.rope.freq_base', { type: 'f32', value: 10_000 }],
  ['tokenizer.ggml.model', text('llama')],
  ['tokenizer.ggml.tokens', text(tokens)],
  ['tokenizer.ggml.scores', { type: 'f32', value: tokens.map((_, i) => -i) }],
  ['tokenizer.ggml.token_type', { type: 'i32', value: [2, 3, 3, 6, 1, 1, 1, 1] }],
  ['tokenizer.ggml.bos_token_id', u32(1)],
  ['tokenizer.ggml.eos_token_id', u32(2)],
  ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
  ['tokenizer.chat_template', text('{% for m in messages %}{{ m.content }}{% endfor %}')],
]);

function matrix(name: string, rows: number): GgufTensorToWrite {
  return { name, shape: [rows, 32], type: 'Q8_0', data: new Uint8Array(rows * 34) };
}

const vector = (name: string): GgufTensorToWrite => ({ name, data: new Float32Array(32) });
const tensors = [
  matrix('token_embd.weight', tokens.length),
  vector('output_norm.weight'),
  vector('blk.0.attn_norm.weight'),
  vector('blk.0.ffn_norm.weight'),
  matrix('blk.0.attn_q.weight', 32),
  matrix('blk.0.attn_k.weight', 16),
  matrix('blk.0.attn_v.weight', 16),
  ...['attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'].map((name) => matrix(`blk.0.${name}.weight`, 32)),
];
const whole = encodeGguf(metadata, tensors);
/** A file that begins otherwise is no GGUF file, and refused as that. */
const MAGIC_BYTES = 4;
/** Errors that a user gets as a sentence; anything else would be a fault of the reader. */
const allowed = [null, 'ParseError', 'ModelError'];

describe('a GGUF model that lies', () => {
  let path: string;
  let headerBytes: number;
  beforeEach(async () => {
    path = join(await temporaryFolder(), 'm.gguf');
    await writeFile(path, whole);
    headerBytes = (await readGgufHeader(path)).dataStart;
  });

  it('or not, is loaded as it stands', async () => {
    expect((await loadCheckpoint(path)).tokenizer!.encodePrompt('ab')).toEqual([1, 4, 5]);
  });

  async function load(bytes: Uint8Array): Promise<string | null> {
    await writeFile(path, bytes);
    return (await outcome(() => loadCheckpoint(path))).error;
  }

  it('in any byte of its header ends in a model or in a sentence', async () => {
    const change = fc.tuple(
      fc.integer({ min: MAGIC_BYTES, max: headerBytes - 1 }),
      fc.integer({ min: 0, max: 255 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        expect(allowed).toContain(await load(bytes));
      }),
      { numRuns: 300 },
    );
  });

  it('with a length of any size at any place ends so too', async () => {
    const lengths = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.constantFrom(2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 1_000_000n, 10_000n),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: MAGIC_BYTES, max: headerBytes - 8 }),
        lengths,
        async (at, length) => {
          const bytes = Uint8Array.from(whole);
          new DataView(bytes.buffer).setBigUint64(at, length, true);
          expect(allowed).toContain(await load(bytes));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('cut off anywhere is refused', async () => {
    // The last block ends before the filling up.
    const end = headerBytes + 34 * (8 + 32 + 16 + 16 + 4 * 32) + 3 * 128;
    await fc.assert(
      fc.asyncProperty(fc.nat(end - 1), async (length) => {
        expect(await load(whole.subarray(0, length))).toMatch(/^(?:ParseError|UsageError)$/);
      }),
      { numRuns: 80 },
    );
  });

  it('about any of its metadata ends in a model or in a sentence', async () => {
    const numbers = fc.oneof(
      fc.constantFrom(0, 1, 3, 31, 2 ** 31, 2 ** 32 - 1),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    );
    const value = fc.oneof(
      numbers.map((n): GgufEntry => u32(n)),
      fc.double().map((n): GgufEntry => ({ type: 'f32', value: n })),
      fc.string({ maxLength: 40 }).map((s): GgufEntry => text(s)),
      fc.array(fc.string({ maxLength: 4 }), { maxLength: 9 }).map((list): GgufEntry => text(list)),
      fc.array(fc.integer({ min: -2, max: 9 }), { maxLength: 9 }).map(
        (list): GgufEntry => ({
          type: 'i32',
          value: list,
        }),
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...metadata.keys()), value, async (key, entry) => {
        expect(allowed).toContain(await load(encodeGguf(new Map([...metadata, [key, entry]]), tensors)));
      }),
      { numRuns: 400 },
    );
  });

  it('with lists of more than four million elements together is refused', async () => {
    const list = Buffer.alloc(8 + 2 + 4 + 4 + 8 + 900_000);
    list.writeBigUInt64LE(2n, 0);
    list.writeUInt32LE(9, 10);
    list.writeBigUInt64LE(900_000n, 18);
    const many = Array.from({ length: 5 }, (_, i) => {
      list.write(`l${i}`, 8);
      return Buffer.from(list);
    });
    const head = Buffer.from(encodeGguf(new Map(), []).subarray(0, 24));
    head.writeBigUInt64LE(5n, 16);
    await writeFile(path, Buffer.concat([head, ...many]));
    await expect(readGgufHeader(path)).rejects.toThrow('at most 4000000 elements together');
    await writeFile(path, Buffer.concat([head, ...many]).subarray(0, 1_000_000));
    await expect(readGgufHeader(path)).rejects.toThrow('cut off');
  });

  it('with a header of 64 MB or more is refused', async () => {
    const file = await open(path, 'w');
    try {
      // 66 texts of a megabyte of zeros, which take no room on a disk that leaves out zeros.
      const head = Buffer.from(encodeGguf(new Map(), []).subarray(0, 24));
      head.writeBigUInt64LE(66n, 16);
      await file.write(head, 0, head.length, 0);
      const [start, size] = [Buffer.alloc(8 + 2 + 4 + 8), 1024 * 1024];
      start.writeBigUInt64LE(2n, 0);
      start.writeUInt32LE(8, 10);
      start.writeBigUInt64LE(BigInt(size), 14);
      for (let i = 0; i < 66; i++) {
        start.write(String(i).padStart(2, '0'), 8);
        await file.write(start, 0, start.length, 24 + i * (start.length + size));
      }
      await file.truncate(24 + 66 * (start.length + size));
    } finally {
      await file.close();
    }
    await expect(readGgufHeader(path)).rejects.toThrow('a header of at most 67108864 bytes');
  });
});
