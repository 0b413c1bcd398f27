/** BF16 is the upper half of an F32: widens every value of `source` into `target` without loss. */
export function decodeBf16(source: Uint16Array, target: Float32Array): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
}

/** Rounds every value of `source` to BF16 in `target`, halves to even; NaN stays NaN. */
export function encodeBf16(source: Float32Array, target: Uint16Array): void {
  const words = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const isNaN = (word & 0x7fff_ffff) > 0x7f80_0000;
    target[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
}

/** Widens IEEE half-precision values of `source` into `target` without loss. */
export function decodeF16(source: Uint16Array, target: Float32Array): void {
  const table = (halfTable ??= buildHalfTable());
  for (let i = 0; i < source.length; i++) target[i] = table[source[i]!]!;
}

/** All 65,536 half-precision values, built when the first F16 file is read. */
let halfTable: Float32Array | null = null;

function buildHalfTable(): Float32Array {
  const table = new Float32Array(65_536);
  for (let bits = 0; bits < table.length; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction === 0 ? sign * Infinity : NaN;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}
