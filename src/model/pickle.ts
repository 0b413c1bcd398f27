import { ParseError } from '../errors.ts';

/** What a pickle may name; everything else in it is refused unread, because to name is to run. */
const allowedGlobals: ReadonlySet<string> = new Set([
  'torch._utils _rebuild_tensor_v2',
  'torch._utils _rebuild_parameter',
  'torch FloatStorage',
  'torch HalfStorage',
  'torch BFloat16Storage',
  'torch DoubleStorage',
  'collections OrderedDict',
]);

/** The value of a pickle, of the few kinds that a tensor's consists of. */
export type PickleValue =
  | { readonly kind: 'none' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'tuple'; readonly items: readonly PickleValue[] }
  | { readonly kind: 'dict' }
  | { readonly kind: 'global'; readonly name: string }
  /** A storage that lies beside the pickle, by what the pickle says of it. */
  | { readonly kind: 'persistent'; readonly id: PickleValue }
  | { readonly kind: 'call'; readonly name: string; readonly items: readonly PickleValue[] };

/** A tensor's pickle has some hundred bytes. */
const MAX_BYTES = 64 * 1024;

/**
 * Reads a pickle of protocol 2 to 5 that holds a tensor, by a whitelist of operations and names. Nothing in it is run.
 *
 * @param file names it in errors.
 * @throws ParseError for any other operation or name, or a pickle that is damaged.
 */
export function readPickle(bytes: Uint8Array, file: string): PickleValue {
  if (bytes.byteLength > MAX_BYTES)
    throw bad(file, `expected at most ${MAX_BYTES} bytes of description, got ${bytes.byteLength}`);
  const machine = new Machine(bytes, file);
  for (let steps = 0; steps <= bytes.byteLength; steps++) {
    const value = machine.step();
    if (value !== null) return value;
  }
  throw bad(file, 'its description never ends');
}

const mark = Symbol('mark');
type StackItem = PickleValue | typeof mark;

class Machine {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #file: string;
  readonly #stack: StackItem[] = [];
  readonly #memo = new Map<number, StackItem>();
  #at = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  /** Runs one operation; the value when it was the last. */
  step(): PickleValue | null {
    const code = this.#number(1);
    switch (code) {
      case 0x80: // PROTO
        this.#protocol(this.#number(1));
        return null;
      case 0x95: // FRAME
        this.#skip(8);
        return null;
      case 0x28: // MARK
        this.#stack.push(mark);
        return null;
      case 0x63: // GLOBAL
        this.#global(`${this.#line()} ${this.#line()}`);
        return null;
      case 0x93: // STACK_GLOBAL
        this.#stackGlobal();
        return null;
      case 0x51: // BINPERSID
        this.#stack.push({ kind: 'persistent', id: this.#pop() });
        return null;
      case 0x52: // REDUCE
        this.#reduce();
        return null;
      case 0x2e: // STOP
        return this.#pop();
      default:
        if (!this.#constant(code) && !this.#collection(code) && !this.#remember(code))
          throw bad(this.#file, `operation 0x${code.toString(16)} is none that describes a tensor`);
        return null;
    }
  }

  /** Operations that push a constant. */
  #constant(code: number): boolean {
    const push = (value: PickleValue): true => {
      this.#stack.push(value);
      return true;
    };
    switch (code) {
      case 0x4e: // NONE
        return push({ kind: 'none' });
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        return push({ kind: 'boolean', value: code === 0x88 });
      case 0x4b: // BININT1
        return push({ kind: 'integer', value: this.#number(1) });
      case 0x4d: // BININT2
        return push({ kind: 'integer', value: this.#number(2) });
      case 0x4a: // BININT
        return push({ kind: 'integer', value: this.#number(4) | 0 });
      case 0x8a: // LONG1
        return push({ kind: 'integer', value: this.#long(this.#number(1)) });
      case 0x58: // BINUNICODE
        return push({ kind: 'text', value: this.#text(this.#number(4)) });
      case 0x8c: // SHORT_BINUNICODE
        return push({ kind: 'text', value: this.#text(this.#number(1)) });
      default:
        return false;
    }
  }

  /** Operations that make tuples and the empty dictionaries of a tensor's hooks. */
  #collection(code: number): boolean {
    switch (code) {
      case 0x29: // EMPTY_TUPLE
        this.#stack.push({ kind: 'tuple', items: [] });
        return true;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        this.#tuple(code - 0x84);
        return true;
      case 0x74: // TUPLE
        this.#tuple(this.#aboveMark());
        this.#stack.splice(-2, 1);
        return true;
      case 0x7d: // EMPTY_DICT
        this.#stack.push({ kind: 'dict' });
        return true;
      case 0x75: // SETITEMS
        this.#stack.splice(-this.#aboveMark() - 1);
        return true;
      default:
        return false;
    }
  }

  /** Operations of the memo, by which a value is used twice. */
  #remember(code: number): boolean {
    switch (code) {
      case 0x71: // BINPUT
        this.#memo.set(this.#number(1), this.#top());
        return true;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#number(4), this.#top());
        return true;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        return true;
      case 0x68: // BINGET
        this.#recall(this.#number(1));
        return true;
      case 0x6a: // LONG_BINGET
        this.#recall(this.#number(4));
        return true;
      default:
        return false;
    }
  }

  #protocol(version: number): void {
    if (version < 2 || version > 5)
      throw bad(this.#file, `expected protocol 2 to 5 of its description, got ${version}`);
  }

  #global(name: string): void {
    if (!allowedGlobals.has(name))
      throw bad(
        this.#file,
        `expected it to name tensors only, got ${JSON.stringify(name.slice(0, 80))}, which could run code`,
      );
    this.#stack.push({ kind: 'global', name });
  }

  #stackGlobal(): void {
    const [name, module] = [this.#pop(), this.#pop()];
    if (name.kind !== 'text' || module.kind !== 'text') throw bad(this.#file, 'its description is damaged');
    this.#global(`${module.value} ${name.value}`);
  }

  #reduce(): void {
    const [items, callee] = [this.#pop(), this.#pop()];
    if (items.kind !== 'tuple' || callee.kind !== 'global')
      throw bad(this.#file, 'its description is damaged');
    this.#stack.push({ kind: 'call', name: callee.name, items: items.items });
  }

  #tuple(count: number): void {
    const items = Array.from({ length: count }, () => this.#pop()).reverse();
    this.#stack.push({ kind: 'tuple', items });
  }

  #aboveMark(): number {
    const place = this.#stack.lastIndexOf(mark);
    if (place < 0) throw bad(this.#file, 'its description is damaged');
    return this.#stack.length - 1 - place;
  }

  #recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw bad(this.#file, 'its description is damaged');
    this.#stack.push(value);
  }

  #top(): StackItem {
    const top = this.#stack.at(-1);
    if (top === undefined) throw bad(this.#file, 'its description is damaged');
    return top;
  }

  #pop(): PickleValue {
    const top = this.#stack.pop();
    if (top === undefined || top === mark) throw bad(this.#file, 'its description is damaged');
    return top;
  }

  #skip(count: number): void {
    this.#at += count;
    if (this.#at > this.#bytes.byteLength) throw bad(this.#file, 'its description is cut off');
  }

  #number(size: 1 | 2 | 4): number {
    const at = this.#at;
    this.#skip(size);
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
  }

  #long(size: number): number {
    const at = this.#at;
    this.#skip(size);
    if (size > 8) throw bad(this.#file, `expected numbers of at most 8 bytes, got one of ${size}`);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[at + i]!);
    const signed = size > 0 && this.#bytes[at + size - 1]! > 127 ? value - (1n << BigInt(8 * size)) : value;
    return Number(signed);
  }

  #text(length: number): string {
    const at = this.#at;
    this.#skip(length);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) throw bad(this.#file, 'its description is cut off');
    const text = this.#text(end - this.#at);
    this.#skip(1);
    return text;
  }
}

function bad(file: string, problem: string): ParseError {
  return new ParseError(`"${file}" is no tensor that can be read: ${problem}.`, { details: { file } });
}
