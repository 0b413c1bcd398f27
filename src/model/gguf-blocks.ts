/**
 * The numbers of GGUF's block types, in float32. A block's scales are half-precision numbers in little-endian; layouts and
 * arithmetic are those of ggml's reference (`ggml-quants.c`), whose float32 products are rounded the same way here.
 */

import { decodeF16 } from './float-formats.ts';
import { type GgufBlockType, ggufLayout } from './gguf-types.ts';

/** Widens whole blocks of `type`, one after the other, into `target`. */
export function decodeGgufBlocks(type: GgufBlockType, bytes: Uint8Array, target: Float32Array): void {
  const { blockSize, blockBytes } = ggufLayout(type);
  const decode = decoders[type];
  const count = bytes.length / blockBytes;
  for (let block = 0; block < count; block++) decode(bytes, block * blockBytes, target, block * blockSize);
}

type Decoder = (bytes: Uint8Array, at: number, target: Float32Array, to: number) => void;

const halfBits = new Uint16Array(1);
const halfValue = new Float32Array(1);

/** The half-precision number at a place. */
export function halfAt(bytes: Uint8Array, at: number): number {
  halfBits[0] = bytes[at]! | (bytes[at + 1]! << 8);
  decodeF16(halfBits, halfValue);
  return halfValue[0]!;
}

function signed(byte: number): number {
  return (byte << 24) >> 24;
}

/** Blocks of 32 numbers that are one half-precision scale times a whole number each. */
export interface SymmetricBlocks {
  /** Signed bits that hold every whole number. */
  readonly bits: 4 | 8;
  /** Writes the 32 whole numbers of the block at a place; its scale is the half that it begins with. */
  readonly levels: (bytes: Uint8Array, at: number, target: Int8Array) => void;
}

export const symmetricBlocks = {
  Q4_0: { bits: 4, levels: levelsQ4_0 },
  Q5_0: { bits: 8, levels: levelsQ5_0 },
  Q8_0: { bits: 8, levels: levelsQ8_0 },
} as const satisfies Readonly<Partial<Record<GgufBlockType, SymmetricBlocks>>>;

/** Low halves of 16 bytes are the first 16 numbers, high halves the others. */
function levelsQ4_0(bytes: Uint8Array, at: number, target: Int8Array): void {
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 2 + i]!;
    target[i] = (byte & 15) - 8;
    target[16 + i] = (byte >> 4) - 8;
  }
}

/** As of 4 bits, with the fifth bits of the 32 numbers in a word before them. */
function levelsQ5_0(bytes: Uint8Array, at: number, target: Int8Array): void {
  const high = wordAt(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 6 + i]!;
    target[i] = ((byte & 15) | (((high >>> i) & 1) << 4)) - 16;
    target[16 + i] = ((byte >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16;
  }
}

function levelsQ8_0(bytes: Uint8Array, at: number, target: Int8Array): void {
  for (let i = 0; i < 32; i++) target[i] = signed(bytes[at + 2 + i]!);
}

function symmetric({ levels }: SymmetricBlocks): Decoder {
  const block = new Int8Array(32);
  return (bytes, at, target, to) => {
    const d = halfAt(bytes, at);
    levels(bytes, at, block);
    for (let i = 0; i < 32; i++) target[to + i] = d * block[i]!;
  };
}

function decodeQ4_1(bytes: Uint8Array, at: number, target: Float32Array, to: number): void {
  const [d, m] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 4 + i]!;
    target[to + i] = Math.fround(d * (byte & 15)) + m;
    target[to + 16 + i] = Math.fround(d * (byte >> 4)) + m;
  }
}

/** As of 4 bits, with the fifth bits of the 32 numbers in a word before them. */
function decodeQ5_1(bytes: Uint8Array, at: number, target: Float32Array, to: number): void {
  const [d, m] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
  const high = wordAt(bytes, at + 4);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 8 + i]!;
    target[to + i] = Math.fround(d * ((byte & 15) | (((high >>> i) & 1) << 4))) + m;
    target[to + 16 + i] = Math.fround(d * ((byte >> 4) | (((high >>> (i + 16)) & 1) << 4))) + m;
  }
}

/** 16 runs of 16 numbers, each with 4 bits of scale and 4 of minimum; 2 bits a number. */
function decodeQ2_K(bytes: Uint8Array, at: number, target: Float32Array, to: number): void {
  const [d, dmin] = [halfAt(bytes, at + 80), halfAt(bytes, at + 82)];
  for (let run = 0; run < 16; run++) {
    const scale = bytes[at + run]!;
    const [dl, ml] = [Math.fround(d * (scale & 15)), Math.fround(dmin * (scale >> 4))];
    const q = at + 16 + 32 * (run >> 3) + 16 * (run & 1);
    const shift = 2 * ((run >> 1) & 3);
    for (let i = 0; i < 16; i++)
      target[to + 16 * run + i] = Math.fround(dl * ((bytes[q + i]! >> shift) & 3)) - ml;
  }
}

/** 16 runs of 16 numbers, each with a signed scale of 6 bits; 2 bits a number, and a third apart from them. */
function decodeQ3_K(bytes: Uint8Array, at: number, target: Float32Array, to: number): void {
  const d = halfAt(bytes, at + 108);
  const scales = at + 96;
  for (let run = 0; run < 16; run++) {
    const low = (bytes[scales + (run & 7)]! >> (run < 8 ? 0 : 4)) & 15;
    const high = (bytes[scales + 8 + (run & 3)]! >> (2 * (run >> 2))) & 3;
    const dl = Math.fround(d * ((low | (high << 4)) - 32));
    const place = 16 * (run & 1);
    const q = at + 32 + 32 * (run >> 3) + place;
    const shift = 2 * ((run >> 1) & 3);
    const bit = run >> 1;
    for (let i = 0; i < 16; i++) {
      const third = (bytes[at + place + i]! >> bit) & 1;
      target[to + 16 * run + i] = dl * (((bytes[q + i]! >> shift) & 3) - (third === 1 ? 0 : 4));
    }
  }
}

/** 8 runs of 32 numbers, each with 6 bits of scale and 6 of minimum; 4 bits a number. */
function decodeQ4_K(bytes: Uint8Array, at: number, target: Float32Array, to: number): void {
  const [d, dmin] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
  for (let run = 0; run < 8; run++) {
    const [dl, ml] = scaleAndMinimum(bytes, at + 4, run, d, dmin);
    const q = at + 16 + 32 * (run >> 1);
    const shift = 4 * (run & 1);
    for (let i = 0; i < 32; i++)
      target[to + 32 * run + i] = Math.fround(dl * ((bytes[q + i]! >> shift) & 15)) - ml;
  }
}

/** As of 4 bits, with the fifth bits in 32 bytes of their own. */
function decodeQ5_K(bytes: Uint8Array, at: number, target: Float32Array, to: number): void {
  const [d, dmin] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
  for (let run = 0; run < 8; run++) {
    const [dl, ml] = scaleAndMinimum(bytes, at + 4, run, d, dmin);
    const q = at + 48 + 32 * (run >> 1);
    const shift = 4 * (run & 1);
    for (let i = 0; i < 32; i++) {
      const fifth = (bytes[at + 16 + i]! >> run) & 1;
      target[to + 32 * run + i] = Math.fround(dl * (((bytes[q + i]! >> shift) & 15) | (fifth << 4))) - ml;
    }
  }
}

/** 16 runs of 16 numbers, each with a signed scale of 8 bits; 4 bits a number, and two more apart from them. */
function decodeQ6_K(bytes: Uint8Array, at: number, target: Float32Array, to: number): void {
  const d = halfAt(bytes, at + 208);
  for (let run = 0; run < 16; run++) {
    const dl = Math.fround(d * signed(bytes[at + 192 + run]!));
    const half = run >> 3;
    const quarter = (run >> 1) & 3;
    const place = 16 * (run & 1);
    const low = at + 64 * half + 32 * (quarter & 1) + place;
    const high = at + 128 + 32 * half + place;
    for (let i = 0; i < 16; i++) {
      const q =
        ((bytes[low + i]! >> (4 * (quarter >> 1))) & 15) | (((bytes[high + i]! >> (2 * quarter)) & 3) << 4);
      target[to + 16 * run + i] = dl * (q - 32);
    }
  }
}

/** Of a run of the K types of 4 and 5 bits: twelve bytes hold eight scales and eight minima of 6 bits. */
function scaleAndMinimum(
  bytes: Uint8Array,
  at: number,
  run: number,
  d: number,
  dmin: number,
): readonly [number, number] {
  const low = at + (run & 3);
  const [scale, minimum] =
    run < 4
      ? [bytes[low]! & 63, bytes[low + 4]! & 63]
      : [
          (bytes[low + 8]! & 15) | ((bytes[low]! >> 6) << 4),
          (bytes[low + 8]! >> 4) | ((bytes[low + 4]! >> 6) << 4),
        ];
  return [Math.fround(d * scale), Math.fround(dmin * minimum)];
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

const decoders: Readonly<Record<GgufBlockType, Decoder>> = {
  Q4_0: symmetric(symmetricBlocks.Q4_0),
  Q4_1: decodeQ4_1,
  Q5_0: symmetric(symmetricBlocks.Q5_0),
  Q5_1: decodeQ5_1,
  Q8_0: symmetric(symmetricBlocks.Q8_0),
  Q2_K: decodeQ2_K,
  Q3_K: decodeQ3_K,
  Q4_K: decodeQ4_K,
  Q5_K: decodeQ5_K,
  Q6_K: decodeQ6_K,
};
