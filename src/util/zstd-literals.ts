import { BackwardBits, damaged, FseTable, littleEndian, readDistribution } from './zstd-entropy.ts';

const MAX_LITERALS = 128 * 1024;
const MAX_BITS = 11;
const MAX_WEIGHTS = 255;

/** The literals of a frame's blocks; a block may use the Huffman code of the one before. */
export class Literals {
  #code: HuffmanCode | null = null;

  /** The literals that a block begins with, and where they end in it. */
  read(block: Uint8Array): { readonly bytes: Uint8Array; readonly end: number } {
    const first = littleEndian(block, 0, 1);
    const [kind, format] = [first & 3, (first >> 2) & 3];
    if (kind < 2) {
      const header = format === 1 ? 2 : format === 3 ? 3 : 1;
      const size = littleEndian(block, 0, header) >> (header === 1 ? 3 : 4);
      checkSize(size);
      if (kind === 1)
        return { bytes: new Uint8Array(size).fill(littleEndian(block, header, 1)), end: header + 1 };
      if (header + size > block.length) throw damaged('literals are cut off');
      return { bytes: block.subarray(header, header + size), end: header + size };
    }
    const header = format < 2 ? 3 : format + 2;
    const width = format < 2 ? 10 : format === 2 ? 14 : 18;
    const low = littleEndian(block, 0, Math.min(4, header)) + (header === 5 ? block[4]! * 2 ** 32 : 0);
    const sizes = Math.floor(low / 16);
    const size = sizes % 2 ** width;
    const end = header + (Math.floor(sizes / 2 ** width) % 2 ** width);
    checkSize(size);
    if (end > block.length) throw damaged('literals are cut off');
    let at = header;
    if (kind === 2) ({ code: this.#code, end: at } = readCode(block, at, end));
    if (this.#code === null) throw damaged('literals use a code that was never given');
    return { bytes: this.#streams(block.subarray(at, end), size, format === 0 ? 1 : 4), end };
  }

  #streams(bytes: Uint8Array, size: number, count: 1 | 4): Uint8Array {
    const output = new Uint8Array(size);
    const code = this.#code!;
    if (count === 1) {
      code.decode(new BackwardBits(bytes, 0, bytes.length), output);
      return output;
    }
    const share = Math.floor((size + 3) / 4);
    if (3 * share > size) throw damaged('literals are too few for four streams');
    let at = 6;
    for (let i = 0; i < 4; i++) {
      const end = i === 3 ? bytes.length : at + littleEndian(bytes, 2 * i, 2);
      if (end > bytes.length) throw damaged('a stream of literals is cut off');
      const part = output.subarray(i * share, i === 3 ? size : (i + 1) * share);
      code.decode(new BackwardBits(bytes, at, end), part);
      at = end;
    }
    return output;
  }
}

function checkSize(size: number): void {
  if (size > MAX_LITERALS) throw damaged('a block has too many literals');
}

/** A prefix code of bytes, as a table over the next bits. */
class HuffmanCode {
  readonly #bits: number;
  readonly #symbol: Uint8Array;
  readonly #length: Uint8Array;

  /** @param weights Of the symbols from 0: 0 for one that does not occur, else a code of `bits` + 1 − weight bits. */
  constructor(weights: readonly number[], bits: number) {
    this.#bits = bits;
    this.#symbol = new Uint8Array(2 ** bits);
    this.#length = new Uint8Array(2 ** bits);
    let at = 0;
    for (let weight = 1; weight <= bits; weight++)
      weights.forEach((own, symbol) => {
        if (own !== weight) return;
        const end = at + 2 ** (weight - 1);
        this.#symbol.fill(symbol, at, end);
        this.#length.fill(bits + 1 - weight, at, end);
        at = end;
      });
  }

  /** Fills `output`; the stream must then be at its end. */
  decode(stream: BackwardBits, output: Uint8Array): void {
    stream.readSymbols(output, this.#bits, this.#symbol, this.#length);
    if (stream.left !== 0) throw damaged('literals do not end where their bits do');
  }
}

function readCode(
  block: Uint8Array,
  start: number,
  limit: number,
): { readonly code: HuffmanCode; readonly end: number } {
  const head = littleEndian(block, start, 1);
  const isPlain = head >= 128;
  const end = start + 1 + (isPlain ? Math.ceil((head - 127) / 2) : head);
  if (end > limit) throw damaged('a code is cut off');
  const weights = isPlain
    ? Array.from(
        { length: head - 127 },
        (_, i) => (block[start + 1 + (i >> 1)]! >> (i % 2 === 0 ? 4 : 0)) & 15,
      )
    : readWeights(block.subarray(start + 1, end));
  const total = weights.reduce((sum, weight) => sum + (weight === 0 ? 0 : 2 ** (weight - 1)), 0);
  if (total === 0) throw damaged('a code has no symbols');
  const bits = 32 - Math.clz32(total);
  const rest = 2 ** bits - total;
  // The last symbol's weight is what makes the code whole.
  if (bits > MAX_BITS || weights.length > MAX_WEIGHTS || (rest & (rest - 1)) !== 0)
    throw damaged('a code does not add up');
  return { code: new HuffmanCode([...weights, 32 - Math.clz32(rest)], bits), end };
}

/** Weights that two states of one table spell in turns. */
function readWeights(bytes: Uint8Array): number[] {
  const { counts, log, end } = readDistribution(bytes, 0, { accuracy: 6, symbols: 13 });
  const table = new FseTable(counts, log);
  const bits = new BackwardBits(bytes, end, bytes.length);
  const weights: number[] = [];
  let [state, other] = [bits.read(log), bits.read(log)];
  while (weights.length <= MAX_WEIGHTS) {
    weights.push(table.symbol[state]!);
    const next = table.next(state, bits);
    if (bits.left < 0) {
      weights.push(table.symbol[other]!);
      break;
    }
    [state, other] = [other, next];
  }
  return weights;
}
