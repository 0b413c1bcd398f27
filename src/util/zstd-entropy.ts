/** Zstandard's two ways to spell symbols in bits: finite-state tables, and the stream of bits that is read from its end. */

import { ParseError } from '../errors.ts';

/** The error for data that are not sound; the caller says whose they are. */
export function damaged(problem: string): ParseError {
  return new ParseError(`expected sound zstd data: ${problem}`);
}

/** A number of at most 4 bytes. */
export function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  if (at + count > bytes.length) throw damaged('it is cut off');
  let value = 0;
  for (let i = count - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
  return value;
}

/** Bits that were written forwards and are read backwards; a last 1 marks where they begin. */
export class BackwardBits {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  /** Bits that are left; below zero where more were read than there are, which read as zeros. */
  #left: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    const last = end > start ? bytes[end - 1]! : 0;
    if (last === 0) throw damaged('a stream of bits has no beginning');
    this.#bytes = bytes;
    this.#start = start;
    this.#left = 8 * (end - start) - Math.clz32(last) + 23;
  }

  get left(): number {
    return this.#left;
  }

  /** The next `count` bits, at most 31. */
  read(count: number): number {
    const value = this.peek(count);
    this.#left -= count;
    return value;
  }

  /** The next `count` bits, which stay. */
  peek(count: number): number {
    if (count === 0) return 0;
    const low = this.#left - count;
    if (low < 0) return low <= -count ? 0 : this.#bits(0, this.#left) << -low;
    return this.#bits(low, count);
  }

  /**
   * Fills `output` with symbols of a prefix code of at most `width` bits, 16 or fewer: `symbol` and `length` are tables over
   * the next `width` bits. The same as `peek` for each, where most of the time goes.
   */
  readSymbols(output: Uint8Array, width: number, symbol: Uint8Array, length: Uint8Array): void {
    const [bytes, start, mask] = [this.#bytes, this.#start, (1 << width) - 1];
    let left = this.#left;
    let i = 0;
    for (; i < output.length && left >= width; i++) {
      const low = left - width;
      const at = start + (low >> 3);
      const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
      const next = (word >>> (low & 7)) & mask;
      output[i] = symbol[next]!;
      left -= length[next]!;
    }
    this.#left = left;
    for (; i < output.length; i++) {
      const next = this.peek(width);
      output[i] = symbol[next]!;
      this.#left -= length[next]!;
    }
  }

  #bits(low: number, count: number): number {
    const bytes = this.#bytes;
    const at = this.#start + (low >> 3);
    const shift = low & 7;
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    if (count + shift <= 32) {
      return (word >>> shift) & ((1 << count) - 1);
    }
    const rest = (bytes[at + 4]! << (32 - shift)) >>> 0;
    return ((word >>> shift) | rest) & ((1 << count) - 1);
  }
}

/** A table of states, each of which means a symbol and leads to the next by some bits. */
export class FseTable {
  readonly log: number;
  readonly symbol: Uint8Array;
  readonly #bits: Uint8Array;
  readonly #base: Uint16Array;

  /** @param counts How many states each symbol has; −1 for one that has less than one. Together they are 2^log. */
  constructor(counts: readonly number[], log: number) {
    const size = 2 ** log;
    this.log = log;
    this.symbol = new Uint8Array(size);
    this.#bits = new Uint8Array(size);
    this.#base = new Uint16Array(size);
    const next = spread(counts, this.symbol);
    for (let state = 0; state < size; state++) {
      const value = next[this.symbol[state]!]!++;
      const bits = log - (31 - Math.clz32(value));
      this.#bits[state] = bits;
      this.#base[state] = (value << bits) - size;
    }
  }

  /** A table that means one symbol always, and takes no bits. */
  static single(symbol: number): FseTable {
    const table = new FseTable([1], 0);
    table.symbol[0] = symbol;
    return table;
  }

  next(state: number, bits: BackwardBits): number {
    return this.#base[state]! + bits.read(this.#bits[state]!);
  }
}

/** Gives every symbol its states; the result says what each symbol's first state counts from. */
function spread(counts: readonly number[], symbols: Uint8Array): number[] {
  const size = symbols.length;
  let high = size;
  counts.forEach((count, symbol) => {
    if (count === -1) symbols[--high] = symbol;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  counts.forEach((count, symbol) => {
    for (let i = 0; i < count; i++) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at >= high);
    }
  });
  return counts.map((count) => Math.abs(count));
}

/**
 * The counts of a table as they are spelled, from the front, and where the next byte begins.
 *
 * @param limits The finest table and the most symbols that the place allows.
 */
export function readDistribution(
  bytes: Uint8Array,
  start: number,
  limits: { readonly accuracy: number; readonly symbols: number },
): { readonly counts: readonly number[]; readonly log: number; readonly end: number } {
  let bit = 8 * start;
  const peek = (count: number): number => {
    let value = 0;
    for (let i = 0; i < count; i++) {
      const byte = bytes[(bit + i) >> 3];
      if (byte === undefined) throw damaged('a table is cut off');
      value |= ((byte >> ((bit + i) & 7)) & 1) << i;
    }
    return value;
  };
  const log = peek(4) + 5;
  bit += 4;
  if (log > limits.accuracy) throw damaged('a table is too fine');
  const counts: number[] = [];
  let left = 2 ** log;
  while (left > 0) {
    const width = 32 - Math.clz32(left + 1);
    const lower = 2 ** (width - 1) - 1;
    const spare = 2 ** width - 1 - (left + 1);
    const isShort = (peek(width - 1) & lower) < spare;
    const raw = isShort ? peek(width - 1) : peek(width);
    bit += isShort ? width - 1 : width;
    const count = (!isShort && raw > lower ? raw - spare : raw) - 1;
    counts.push(count);
    left -= Math.abs(count);
    if (count !== 0) continue;
    for (let more = 3; more === 3; bit += 2) {
      more = peek(2);
      for (let i = 0; i < more; i++) counts.push(0);
      if (counts.length > limits.symbols) break;
    }
    if (counts.length > limits.symbols) break;
  }
  if (left !== 0 || counts.length > limits.symbols) throw damaged('a table does not add up');
  return { counts, log, end: (bit + 7) >> 3 };
}
