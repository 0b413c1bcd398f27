import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeF16 } from '../model/float-formats.ts';
import { encodeF16 } from './quantise-half.ts';

function encode(values: Iterable<number>): Uint16Array {
  const source = Float32Array.from(values);
  const target = new Uint16Array(source.length);
  encodeF16(source, target);
  return target;
}

function decode(halves: Uint16Array): Float32Array {
  const target = new Float32Array(halves.length);
  decodeF16(halves, target);
  return target;
}

describe('encodeF16', () => {
  it('gives back the bits of every half', () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
    const numbers = all.filter((bits) => (bits & 0x7fff) <= 0x7c00);
    expect(encode(decode(numbers))).toEqual(numbers);
  });

  it('takes the nearest half, and of two the even one', () => {
    const lower = fc.integer({ min: 0, max: 0x7bfe });
    fc.assert(
      fc.property(lower, fc.constantFrom(0, 0.25, 0.5, 0.75), fc.boolean(), (bits, share, negative) => {
        const [a, b] = decode(Uint16Array.of(bits, bits + 1)) as unknown as [number, number];
        const value = a + share * (b - a);
        const up = share > 0.5 || (share === 0.5 && bits % 2 === 1);
        expect(encode([negative ? -value : value])[0]).toBe((bits + Number(up)) | (negative ? 0x8000 : 0));
      }),
    );
  });

  it('makes what is too large infinite, and keeps NaN', () => {
    expect([...encode([65_504, 65_519.99, 65_520, -1e30, Infinity, 1e-30])]).toEqual([
      0x7bff, 0x7bff, 0x7c00, 0xfc00, 0x7c00, 0,
    ]);
    expect(decode(encode([NaN]))[0]).toBeNaN();
  });
});
