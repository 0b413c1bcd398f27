import type { ModelConfig } from '../model/config.ts';
import { KvCache } from './kv-cache.ts';

/**
 * The places of a batch: keys and values of its rows, and their logits of the last step. They grow while rows run, in
 * number and in length, without a change to what they hold.
 */
export class Slots {
  cache: KvCache;
  /** `[slots, vocabulary]` of the last step. */
  logits: Float32Array;
  /** Rows that fit, with `spare` more behind them. */
  count: number;
  private readonly config: ModelConfig;
  /** Places that stand ready for what fills a batch up; see `Runtime.fillBatch`. */
  private readonly spare: number;

  constructor(config: ModelConfig, count: number, capacity: number, spare: number) {
    this.config = config;
    this.spare = spare;
    this.count = count;
    this.cache = new KvCache(config, count + spare, capacity, true);
    this.logits = new Float32Array((count + spare) * config.vocabSize);
  }

  /** Makes room for `count` rows of `capacity` tokens; row i keeps its first `lengths[i]` tokens. */
  grow(count: number, capacity: number, lengths: readonly number[]): void {
    const cache = new KvCache(this.config, count + this.spare, capacity, true);
    lengths.forEach((length, slot) => cache.copyFrom(this.cache, slot, length));
    this.cache = cache;
    this.logits = new Float32Array((count + this.spare) * this.config.vocabSize);
    this.count = count;
  }
}
