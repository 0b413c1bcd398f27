import { ModelError } from '../errors.ts';

/**
 * Block quantisation in the layout of ONNX Runtime's `MatMulNBits`: `blockSize` neighbours of a row share one scale, and a
 * weight is `scale * (q - zeroPoint)` with the zero point 128 (8 bits) or 8 (4 bits), which the runtime takes for granted.
 */
export interface BlockFormat {
  readonly bits: 8 | 4;
  readonly blockSize: 32 | 128;
}

/** Raised when equal weights give other bytes than before: what was cached is then quantised again. */
export const QUANTISER_VERSION = 1;

/** Rows of a weight `[rows, columns]` after quantisation. */
export interface QuantisedRows {
  /** `[rows, blocks, blockSize * bits / 8]`; of 4 bits, the earlier of two weights is the lower half of its byte. */
  readonly q: Uint8Array;
  /** `[rows * blocks]`; of 4 bits, a scale may be negative. */
  readonly scales: Float32Array;
}

/** What an error says of the rows: the tensor's name and the index of the first row within it. */
export interface RowsOrigin {
  readonly name: string;
  readonly firstRow: number;
}

/** Blocks of a row of that many weights; the last one may be partly padding. */
export function blocksPerRow(columns: number, { blockSize }: BlockFormat): number {
  return Math.ceil(columns / blockSize);
}

/** Bytes of a block's weights, its scale not counted. */
export function bytesPerBlock({ bits, blockSize }: BlockFormat): number {
  return (blockSize * bits) / 8;
}

/** What stands for the weight 0. */
export function zeroPoint({ bits }: BlockFormat): number {
  return bits === 8 ? 128 : 8;
}

/**
 * Quantises rows `[rows, columns]`. Halves are rounded to even, so that negated weights give negated results in 8 bits.
 *
 * 8 bits: the scale is the largest size of the block over 127, and no weight is off by more than half a scale. 4 bits: of
 * several scales that put the block's extreme at or beyond an end of the range −8 … 7, in either sign, each improved by
 * least squares, the one with the smallest squared error is taken; on the way to it weights at the ends may be clipped.
 * A block without a weight whose scale is a normal float32 (all zero, or all below about 10⁻³⁶) gets the scale 0. Columns
 * beyond the last are filled with the zero point. Equal arguments give equal bytes.
 *
 * @throws ModelError naming the tensor, for a weight that is NaN or infinite.
 */
export function quantiseRows(
  weights: Float32Array,
  columns: number,
  format: BlockFormat,
  origin: RowsOrigin,
): QuantisedRows {
  const { bits, blockSize } = format;
  const rows = weights.length / columns;
  const blocks = blocksPerRow(columns, format);
  const blockBytes = bytesPerBlock(format);
  // Also what the last block is padded with: two zero points to a byte in 4 bits.
  const q = new Uint8Array(rows * blocks * blockBytes).fill(bits === 8 ? 0x80 : 0x88);
  const scales = new Float32Array(rows * blocks);
  const quantiseBlock = bits === 8 ? quantiseBlock8 : quantiseBlock4;
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const begin = row * columns + block * blockSize;
      const end = Math.min(begin + blockSize, (row + 1) * columns);
      const index = row * blocks + block;
      const target = index * blockBytes;
      const extreme = findExtreme(weights, begin, end);
      if (Number.isNaN(extreme)) throw notFinite(weights, columns, origin);
      scales[index] = quantiseBlock(weights, begin, end, extreme, q, target);
    }
  }
  return { q, scales };
}

/** The weights `[rows, columns]` that quantised rows stand for, in float32. */
export function dequantiseRows(
  { q, scales }: QuantisedRows,
  columns: number,
  format: BlockFormat,
): Float32Array {
  const { bits, blockSize } = format;
  const blocks = blocksPerRow(columns, format);
  const blockBytes = bytesPerBlock(format);
  const zero = zeroPoint(format);
  const rows = scales.length / blocks;
  const weights = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const block = row * blocks + Math.floor(column / blockSize);
      const within = column % blockSize;
      const byte = q[block * blockBytes + Math.floor((within * bits) / 8)]!;
      const value = bits === 8 ? byte : within % 2 === 0 ? byte & 15 : byte >> 4;
      weights[row * columns + column] = scales[block]! * (value - zero);
    }
  }
  return weights;
}

/** The nearest integer, halves to even, of a number below 2⁵¹; several times faster than `Math.round`. */
export function roundHalfEven(value: number): number {
  // From 2⁵² on float64 has no fractions, so the sum is rounded to an integer.
  return value + ROUNDER - ROUNDER;
}

/** 1.5 · 2⁵². */
const ROUNDER = 6_755_399_441_055_744;
/** Below the smallest normal float32 a scale has few digits, and kernels may take it for 0. */
const SMALLEST_SCALE = 2 ** -126;
/**
 * Where the extreme of a block of 4 bits is put, in units of the scale, before least squares. Beyond −8 and 7 it is
 * clipped, which pays in long blocks: on normal weights, the error of these eight is within 0.6 % of that of a hundred.
 */
const EXTREME_AT = [-8, -10, -9.2, -8.6, -7.4, -6.9, 7, 7.6] as const;

/** The weight of the largest size, the first of equals; NaN where one is not finite. */
function findExtreme(weights: Float32Array, begin: number, end: number): number {
  let largest = 0;
  let extreme = 0;
  let poison = 0;
  for (let i = begin; i < end; i++) {
    const weight = weights[i]!;
    const size = Math.abs(weight);
    if (size > largest) {
      largest = size;
      extreme = weight;
    }
    // 0 for a finite weight, NaN for any other: comparisons alone would pass over a NaN.
    poison += weight - weight;
  }
  return poison === 0 ? extreme : NaN;
}

function quantiseBlock8(
  weights: Float32Array,
  begin: number,
  end: number,
  extreme: number,
  q: Uint8Array,
  target: number,
): number {
  const scale = Math.fround(Math.abs(extreme) / 127);
  if (scale < SMALLEST_SCALE) return 0;
  const inverse = 1 / scale;
  const at = target - begin;
  for (let i = begin; i < end; i++) q[at + i] = (roundHalfEven(weights[i]! * inverse) + 128) | 0;
  return scale;
}

function quantiseBlock4(
  weights: Float32Array,
  begin: number,
  end: number,
  extreme: number,
  q: Uint8Array,
  target: number,
): number {
  const scale = extreme === 0 ? 0 : bestScale4(weights, begin, end, extreme);
  if (Math.abs(scale) < SMALLEST_SCALE) return 0;
  const inverse = 1 / scale;
  for (let i = begin; i < end; i++) {
    const value = level4(weights[i]! * inverse) + 8;
    const within = i - begin;
    const byte = target + (within >> 1);
    q[byte] = within % 2 === 0 ? (q[byte]! & 0xf0) | value : (q[byte]! & 0x0f) | (value << 4);
  }
  return scale;
}

/**
 * With the levels fixed, the best scale is Σwq / Σq² and leaves the error Σw² − (Σwq)² / Σq²; so the candidate whose levels
 * have the largest (Σwq)² / Σq² wins, and each costs one pass.
 */
function bestScale4(weights: Float32Array, begin: number, end: number, extreme: number): number {
  let best = 0;
  let scale = 0;
  for (const place of EXTREME_AT) {
    const inverse = place / extreme;
    let products = 0;
    let squares = 0;
    for (let i = begin; i < end; i++) {
      const weight = weights[i]!;
      const level = level4(weight * inverse);
      products += weight * level;
      squares += level * level;
    }
    const explained = (products * products) / squares;
    if (explained > best) {
      best = explained;
      scale = products / squares;
    }
  }
  return Math.fround(scale);
}

function level4(value: number): number {
  const level = roundHalfEven(value);
  return level < -8 ? -8 : level > 7 ? 7 : level;
}

function notFinite(weights: Float32Array, columns: number, { name, firstRow }: RowsOrigin): ModelError {
  const index = weights.findIndex((weight) => !Number.isFinite(weight));
  const row = firstRow + Math.floor(index / columns);
  const column = index % columns;
  return new ModelError(
    `Expected finite weights in tensor "${name}", got ${weights[index]} in row ${row}, column ${column}; download the checkpoint again, or choose a training step from before it broke.`,
    { details: { tensor: name, row, column, got: String(weights[index]) } },
  );
}
