import { ParseError } from '../errors.ts';

/** A metadata value; integers of 64 bits that a number cannot hold are refused. */
export type GgufValue = number | boolean | string | readonly GgufValue[];

/** The largest published models have some hundred keys, two thousand tensors and a list of half a million merges. */
const MAX_KEYS = 10_000;
const MAX_TENSORS = 10_000;
const MAX_TEXT_BYTES = 1024 * 1024;
const MAX_ELEMENTS = 1_000_000;
/** Of all lists together: each element takes eight bytes or more of memory, however few it has in the file. */
const MAX_ELEMENTS_IN_ALL = 4_000_000;
const MAX_DEPTH = 4;

/**
 * Reads the header of a GGUF file, front to back, from its first bytes in memory. Every length is compared with what is
 * there before it is used.
 */
export class GgufReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #path: string;
  #at = 0;
  #ranOut = false;
  #elements = 0;

  constructor(bytes: Uint8Array, path: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#path = path;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#at;
  }

  /** Whether the bytes ended before the header did. */
  get ranOut(): boolean {
    return this.#ranOut;
  }

  header(): { readonly tensors: number; readonly keys: number } {
    if (this.u32() !== 0x46554747) throw this.bad('expected it to begin with "GGUF"');
    const version = this.u32();
    if (version !== 2 && version !== 3) throw this.bad(`expected version 2 or 3, got ${version}`);
    const [tensors, keys] = [this.count('tensor count'), this.count('key count')];
    if (tensors > MAX_TENSORS) throw this.bad(`expected at most ${MAX_TENSORS} tensors, got ${tensors}`);
    if (keys > MAX_KEYS) throw this.bad(`expected at most ${MAX_KEYS} keys, got ${keys}`);
    return { tensors, keys };
  }

  u32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }

  /** An unsigned number of 64 bits, as far as a number holds it. */
  count(name: string): number {
    const value = this.#view.getBigUint64(this.#skip(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.bad(`its ${name} is ${value}`);
    return Number(value);
  }

  text(): string {
    const length = this.count('length of a text');
    if (length > MAX_TEXT_BYTES)
      throw this.bad(`expected texts of at most ${MAX_TEXT_BYTES} bytes, got ${length}`);
    const at = this.#skip(length);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  /** A typed metadata value. */
  value(): GgufValue {
    return this.#typed(this.u32(), 0);
  }

  bad(problem: string): ParseError {
    return new ParseError(`"${this.#path}" is no GGUF file that can be read: ${problem}.`, {
      details: { file: this.#path },
    });
  }

  #typed(type: number, depth: number): GgufValue {
    const scalar = scalars[type];
    if (scalar !== undefined) return scalar.read(this.#view, this.#skip(scalar.size));
    if (type === 8) return this.text();
    if (type === 9) return this.#list(depth);
    if (type === 10) return this.count('value');
    if (type !== 11) throw this.bad(`its metadata have a value of unknown type ${type}`);
    const value = this.#view.getBigInt64(this.#skip(8), true);
    if (value > MAX_SAFE || value < -MAX_SAFE) throw this.bad(`a value of its metadata is ${value}`);
    return Number(value);
  }

  #list(depth: number): GgufValue[] {
    if (depth >= MAX_DEPTH) throw this.bad(`its metadata have lists more than ${MAX_DEPTH} deep`);
    const type = this.u32();
    const length = this.count('length of a list');
    if (length > MAX_ELEMENTS) throw this.bad(`expected lists of at most ${MAX_ELEMENTS}, got ${length}`);
    this.#elements += length;
    if (this.#elements > MAX_ELEMENTS_IN_ALL)
      throw this.bad(`expected lists of at most ${MAX_ELEMENTS_IN_ALL} elements together, got more`);
    const list: GgufValue[] = [];
    for (let i = 0; i < length; i++) list.push(this.#typed(type, depth + 1));
    return list;
  }

  /** The place where `count` bytes are, having moved behind them. */
  #skip(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.byteLength) {
      this.#ranOut = true;
      throw this.bad('it is cut off');
    }
    this.#at += count;
    return at;
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

interface Scalar {
  readonly size: number;
  readonly read: (view: DataView, at: number) => number | boolean;
}

/** By the format's type numbers. */
const scalars: Readonly<Record<number, Scalar>> = {
  0: { size: 1, read: (view, at) => view.getUint8(at) },
  1: { size: 1, read: (view, at) => view.getInt8(at) },
  2: { size: 2, read: (view, at) => view.getUint16(at, true) },
  3: { size: 2, read: (view, at) => view.getInt16(at, true) },
  4: { size: 4, read: (view, at) => view.getUint32(at, true) },
  5: { size: 4, read: (view, at) => view.getInt32(at, true) },
  6: { size: 4, read: (view, at) => view.getFloat32(at, true) },
  7: { size: 1, read: (view, at) => view.getUint8(at) !== 0 },
  12: { size: 8, read: (view, at) => view.getFloat64(at, true) },
};
