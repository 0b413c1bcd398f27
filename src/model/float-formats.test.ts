import { describe, expect, it } from 'vitest';
import { decodeBf16, decodeF16 } from './float-formats.ts';

const allBits = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

describe('decodeBf16', () => {
  it('puts every value into the upper half of an F32', () => {
    const values = new Float32Array(allBits.length);
    decodeBf16(allBits, values);
    const view = new DataView(new ArrayBuffer(4));
    const upperHalf = (bits: number): number => {
      view.setUint32(0, bits * 65_536);
      return view.getFloat32(0);
    };
    expect([...allBits].filter((bits) => !Object.is(values[bits], upperHalf(bits)))).toEqual([]);
  });

  it('writes only into the part it is given', () => {
    const values = new Float32Array(4);
    decodeBf16(Uint16Array.of(0x3f80, 0xc000), values.subarray(1, 3));
    expect([...values]).toEqual([0, 1, -2, 0]);
  });
});

describe('decodeF16', () => {
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333251953125],
    [0x7bff, 65_504],
    [0x0400, 2 ** -14],
    [0x03ff, 2 ** -14 - 2 ** -24],
    [0x0001, 2 ** -24],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x7e00, NaN],
  ])('reads %i as %f', (bits, expected) => {
    const values = new Float32Array(1);
    decodeF16(Uint16Array.of(bits), values);
    expect(values[0]).toBe(expected);
  });

  it('keeps the order of all finite values and their signs', () => {
    const values = new Float32Array(allBits.length);
    decodeF16(allBits, values);
    const finite = [...allBits.subarray(1, 0x7c00)];
    expect(finite.filter((bits) => !(values[bits]! > values[bits - 1]!))).toEqual([]);
    expect(finite.filter((bits) => values[bits + 0x8000] !== -values[bits]!)).toEqual([]);
  });
});
