import { Tensor } from 'onnxruntime-node';
import type { ModelConfig } from '../model/config.ts';

/** Keys and values of one block for a run of slots, `[slots, kvHeads, capacity, headSize]` each. */
export interface BlockCache {
  readonly key: Tensor;
  readonly value: Tensor;
}

/**
 * Keys and values of past tokens. A slot holds one row; the runtime reads and writes in place through views
 * of neighbouring slots, so a batch is always a run of slots.
 */
export class KvCache {
  readonly capacity: number;
  private readonly config: ModelConfig;
  private readonly keys: readonly Float32Array[];
  private readonly values: readonly Float32Array[];
  private readonly slotSize: number;

  /**
   * @param slots rows side by side
   * @param capacity tokens a slot
   * @param keep `false` lends one buffer to all blocks: for rows that are run once and never continued.
   */
  constructor(config: ModelConfig, slots: number, capacity: number, keep: boolean) {
    this.config = config;
    this.capacity = capacity;
    this.slotSize = config.kvHeads * capacity * config.headSize;
    const make = (): Float32Array[] => {
      const length = slots * this.slotSize;
      if (keep) return Array.from({ length: config.layers }, () => new Float32Array(length));
      const shared = new Float32Array(length);
      return Array.from({ length: config.layers }, () => shared);
    };
    this.keys = make();
    this.values = make();
  }

  /** Bytes that one slot takes over all blocks. */
  static slotBytes(config: ModelConfig, capacity: number): number {
    return 2 * 4 * config.layers * config.kvHeads * capacity * config.headSize;
  }

  /** Tensors over slots `first` … `first + count − 1`, one pair a block. */
  view(first: number, count: number): BlockCache[] {
    const { kvHeads, headSize } = this.config;
    const shape = [count, kvHeads, this.capacity, headSize];
    const tensor = (buffer: Float32Array): Tensor =>
      new Tensor('float32', buffer.subarray(first * this.slotSize, (first + count) * this.slotSize), shape);
    return this.keys.map((key, block) => ({
      key: tensor(key),
      value: tensor(this.values[block] as Float32Array),
    }));
  }

  /** Copies the first `length` tokens of slot `from` to slot `to`. */
  copy(from: number, to: number, length: number): void {
    const { kvHeads, headSize } = this.config;
    const headStride = this.capacity * headSize;
    for (const buffer of [...this.keys, ...this.values]) {
      for (let head = 0; head < kvHeads; head++) {
        const source = from * this.slotSize + head * headStride;
        buffer.copyWithin(to * this.slotSize + head * headStride, source, source + length * headSize);
      }
    }
  }

  /** Copies the first `length` tokens of a slot of another cache of the same model into the same slot here. */
  copyFrom(other: KvCache, slot: number, length: number): void {
    const { kvHeads, headSize } = this.config;
    const pairs = [
      ...this.keys.map((key, i) => [other.keys[i]!, key] as const),
      ...this.values.map((value, i) => [other.values[i]!, value] as const),
    ];
    for (const [from, to] of pairs) {
      for (let head = 0; head < kvHeads; head++) {
        const source = slot * other.slotSize + head * other.capacity * headSize;
        const target = slot * this.slotSize + head * this.capacity * headSize;
        to.set(from.subarray(source, source + length * headSize), target);
      }
    }
  }
}
