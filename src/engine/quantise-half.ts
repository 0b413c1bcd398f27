import { roundHalfEven } from './quantise.ts';

/** The largest half-precision number, 65,504. */
export const LARGEST_HALF = 65_504;

/**
 * Rounds every value of `source` to IEEE half precision in `target`, halves to even. Values beyond the largest half become
 * infinite, NaN stays NaN.
 */
export function encodeF16(source: Float32Array, target: Uint16Array): void {
  const words = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const sign = (word >>> 16) & 0x8000;
    const size = word & 0x7fff_ffff;
    if (size >= HALF_OVERFLOW) target[i] = sign | (size > FLOAT_INFINITY ? 0x7e00 : 0x7c00);
    // Below the smallest normal half the values are multiples of 2⁻²⁴; 1024 of them carry into the exponent.
    else if (size < HALF_NORMAL) target[i] = sign | roundHalfEven(Math.abs(source[i]!) * 2 ** 24);
    // 13 bits are dropped; adding, not or-ing, so that a mantissa that rounds up carries into the exponent.
    else target[i] = sign | ((size - REBIAS + 0xfff + ((size >>> 13) & 1)) >>> 13);
  }
}

/** Float32 bits of 65,520, halfway between the largest half and what would follow it. */
const HALF_OVERFLOW = 0x477f_f000;
/** Float32 bits of infinity. */
const FLOAT_INFINITY = 0x7f80_0000;
/** Float32 bits of 2⁻¹⁴, the smallest normal half. */
const HALF_NORMAL = 0x3880_0000;
/** The difference of the two formats' exponent biases, 112, in float32's place. */
const REBIAS = 112 << 23;
