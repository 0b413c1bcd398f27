/** Zstandard frames (RFC 8878) without dictionaries, for a Node that has no zstd of its own. Checksums are not verified. */

import { BackwardBits, damaged, FseTable, littleEndian, readDistribution } from './zstd-entropy.ts';
import { Literals } from './zstd-literals.ts';
import { lengthCode, matchCode, predefined } from './zstd-tables.ts';

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const MAX_BLOCK = 128 * 1024;
/** A gigabyte. */
const MAX_OFFSET_CODE = 30;

/**
 * The `size` bytes that frames one after the other stand for. No size in them is believed: what would write past the end,
 * read before the beginning, or come out at another size is refused.
 *
 * @throws ParseError for anything but sound frames of that many bytes in all.
 */
export function decompressZstd(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const output = new Uint8Array(size);
  let [at, written] = [0, 0];
  while (at < bytes.length) {
    const magic = littleEndian(bytes, at, 4);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
      at += 8 + littleEndian(bytes, at + 4, 4);
      continue;
    }
    if (magic !== MAGIC) throw damaged('a frame begins with other bytes');
    const frame = new Frame(bytes, at + 4, output, written);
    ({ at, written } = frame.decode());
  }
  if (at !== bytes.length) throw damaged('it is cut off');
  if (written !== size) throw damaged(`it holds ${written} bytes where ${size} are expected`);
  return output;
}

/** One frame: what its blocks share. */
class Frame {
  readonly #bytes: Uint8Array;
  readonly #output: Uint8Array;
  readonly #start: number;
  #at: number;
  #written: number;
  readonly #literals = new Literals();
  readonly #tables: [FseTable | null, FseTable | null, FseTable | null] = [null, null, null];
  #offsets: readonly [number, number, number] = [1, 4, 8];

  constructor(bytes: Uint8Array, at: number, output: Uint8Array, written: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#output = output;
    this.#start = written;
    this.#written = written;
  }

  decode(): { readonly at: number; readonly written: number } {
    const hasChecksum = this.#header();
    for (;;) {
      const head = this.#take(3);
      const [last, kind, length] = [(head & 1) === 1, (head >> 1) & 3, head >> 3];
      if (length > MAX_BLOCK) throw damaged('a block is too long');
      if (kind === 3) throw damaged('a block is of an unknown kind');
      if (kind === 1) this.#fill(this.#take(1), length);
      else {
        const block = this.#slice(length);
        if (kind === 0) this.#copy(block);
        else this.#compressed(block);
      }
      if (last) break;
    }
    if (hasChecksum) this.#take(4);
    return { at: this.#at, written: this.#written };
  }

  /** Skips the header, whose sizes are not needed; says whether a checksum follows the blocks. */
  #header(): boolean {
    const descriptor = this.#take(1);
    if ((descriptor & 8) !== 0) throw damaged('a frame uses a reserved bit');
    const isSingle = (descriptor & 32) !== 0;
    if (!isSingle) this.#take(1);
    const dictionary = this.#take([0, 1, 2, 4][descriptor & 3]!);
    if (dictionary !== 0) throw damaged('a frame needs a dictionary');
    this.#slice([isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!);
    return (descriptor & 4) !== 0;
  }

  #compressed(block: Uint8Array): void {
    const literals = this.#literals.read(block);
    let at = literals.end;
    const first = block[at++];
    if (first === undefined) throw damaged('a block ends early');
    if (first === 0) {
      if (at !== block.length) throw damaged('a block goes on behind its end');
      this.#copy(literals.bytes);
      return;
    }
    let count = first;
    if (first >= 128 && first < 255) count = ((first - 128) << 8) + littleEndian(block, at++, 1);
    else if (first === 255) {
      count = littleEndian(block, at, 2) + 0x7f00;
      at += 2;
    }
    const modes = littleEndian(block, at++, 1);
    if ((modes & 3) !== 0) throw damaged('a block uses reserved bits');
    for (const kind of [0, 1, 2] as const) at = this.#table(kind, (modes >> (6 - 2 * kind)) & 3, block, at);
    this.#sequences(count, new BackwardBits(block, at, block.length), literals.bytes);
  }

  /** Reads how one of the three codes of sequences (literal lengths, offsets, match lengths) is spelled. */
  #table(kind: 0 | 1 | 2, mode: number, block: Uint8Array, at: number): number {
    const { symbols, accuracy, table } = predefined[kind]!;
    switch (mode) {
      case 0:
        this.#tables[kind] = table;
        return at;
      case 1: {
        const symbol = littleEndian(block, at, 1);
        if (symbol >= symbols) throw damaged('a code is unknown');
        this.#tables[kind] = FseTable.single(symbol);
        return at + 1;
      }
      case 2: {
        const { counts, log, end } = readDistribution(block, at, { accuracy, symbols });
        this.#tables[kind] = new FseTable(counts, log);
        return end;
      }
      default:
        if (this.#tables[kind] === null) throw damaged('a block repeats what was never given');
        return at;
    }
  }

  #sequences(count: number, bits: BackwardBits, literals: Uint8Array): void {
    const [lengths, offsets, matches] = this.#tables as [FseTable, FseTable, FseTable];
    let length = bits.read(lengths.log);
    let offset = bits.read(offsets.log);
    let match = bits.read(matches.log);
    let used = 0;
    for (let i = 0; i < count; i++) {
      const offsetCode = offsets.symbol[offset]!;
      if (offsetCode > MAX_OFFSET_CODE) throw damaged('a match lies too far back');
      const value = (1 << offsetCode) + bits.read(offsetCode);
      const [matchBase, matchBits] = matchCode(matches.symbol[match]!);
      const matchLength = matchBase + bits.read(matchBits);
      const [lengthBase, lengthBits] = lengthCode(lengths.symbol[length]!);
      const literalLength = lengthBase + bits.read(lengthBits);
      if (i + 1 < count) {
        length = lengths.next(length, bits);
        match = matches.next(match, bits);
        offset = offsets.next(offset, bits);
      }
      if (used + literalLength > literals.length) throw damaged('a block lacks literals');
      this.#copy(literals.subarray(used, used + literalLength));
      used += literalLength;
      this.#repeat(this.#offset(value, literalLength), matchLength);
    }
    if (bits.left !== 0) throw damaged('a block does not end where its bits do');
    this.#copy(literals.subarray(used));
  }

  /** How far back a match lies: given, or one of the last three; the last ones are kept in their order of use. */
  #offset(value: number, literalLength: number): number {
    const last = this.#offsets;
    if (value > 3) {
      this.#offsets = [value - 3, last[0], last[1]];
      return value - 3;
    }
    const index = value - 1 + (literalLength === 0 ? 1 : 0);
    const found = index === 3 ? last[0] - 1 : last[index]!;
    if (index === 0) return found;
    this.#offsets = [found, last[0], index === 1 ? last[2] : last[1]];
    return found;
  }

  #repeat(offset: number, length: number): void {
    const from = this.#written - offset;
    if (offset < 1 || from < this.#start) throw damaged('a match begins before the data');
    this.#room(length);
    const [output, to] = [this.#output, this.#written];
    if (offset >= length) output.copyWithin(to, from, from + length);
    else for (let i = 0; i < length; i++) output[to + i] = output[from + i]!;
    this.#written += length;
  }

  #copy(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#output.set(bytes, this.#written);
    this.#written += bytes.length;
  }

  #fill(byte: number, length: number): void {
    this.#room(length);
    this.#output.fill(byte, this.#written, this.#written + length);
    this.#written += length;
  }

  #room(length: number): void {
    if (this.#written + length > this.#output.length)
      throw damaged(`it holds more than the ${this.#output.length} bytes that are expected`);
  }

  #take(count: number): number {
    const value = littleEndian(this.#bytes, this.#at, count);
    this.#at += count;
    return value;
  }

  #slice(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw damaged('it is cut off');
    const slice = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return slice;
  }
}
