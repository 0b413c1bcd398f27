import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeGgufBlocks } from './gguf-blocks.ts';
import { ggufBlockTypes, ggufLayout } from './gguf-types.ts';

interface Expected {
  readonly types: Readonly<Record<string, { readonly blocks: string; readonly values: string }>>;
}

const expected = JSON.parse(
  readFileSync(new URL('./gguf-blocks.expected.json', import.meta.url), 'utf8'),
) as Expected;

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}

describe('blocks of GGUF', () => {
  it.each(ggufBlockTypes)('of %s are the numbers that Python reads, bit for bit', (type) => {
    const { blocks, values } = expected.types[type]!;
    const numbers = new Float32Array(bytesOf(values).buffer);
    const read = new Float32Array(numbers.length);
    decodeGgufBlocks(type, bytesOf(blocks), read);
    expect(numbers.length).toBe(2 * ggufLayout(type).blockSize);
    expect([...read]).toEqual([...numbers]);
  });
});
