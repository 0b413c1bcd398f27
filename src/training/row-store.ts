import { createHash } from 'node:crypto';
import type { TrainingRow } from './types.ts';

/** Tokens of a block; a block more is taken when one is full. */
const blockTokens = 1 << 18;

interface Place {
  readonly key: string;
  readonly block: number;
  readonly start: number;
  readonly length: number;
  readonly promptLength: number;
  readonly weight: number;
}

/** Rows in eight bytes a token, whatever their number; a row is made when it is asked for. */
export class RowStore {
  readonly #ids: Int32Array[] = [];
  readonly #weights: Float32Array[] = [];
  readonly #places: Place[] = [];
  #used = 0;
  #tokens = 0;

  get length(): number {
    return this.#places.length;
  }

  /** Of all rows. */
  get tokens(): number {
    return this.#tokens;
  }

  add({ key, ids, weights, promptLength }: TrainingRow): void {
    const { length } = ids;
    if (this.#ids.length === 0 || this.#used + length > this.#ids.at(-1)!.length) {
      const size = Math.max(blockTokens, length);
      this.#ids.push(new Int32Array(size));
      this.#weights.push(new Float32Array(size));
      this.#used = 0;
    }
    const block = this.#ids.length - 1;
    this.#ids[block]!.set(ids, this.#used);
    this.#weights[block]!.set(weights, this.#used);
    let weight = 0;
    for (const value of weights) weight += value;
    this.#places.push({ key, block, start: this.#used, length, promptLength, weight });
    this.#used += length;
    this.#tokens += length;
  }

  row(index: number): TrainingRow {
    const { key, block, start, length, promptLength } = this.#place(index);
    return {
      key,
      ids: Array.from(this.#ids[block]!.subarray(start, start + length)),
      weights: this.#weights[block]!.slice(start, start + length),
      promptLength,
    };
  }

  /** Tokens of a row. */
  lengthOf(index: number): number {
    return this.#place(index).length;
  }

  /** Σ weight of a row. */
  weightOf(index: number): number {
    return this.#place(index).weight;
  }

  /** SHA-256 over every row's ids, weights and prompt length: what is trained on, whatever file it came from. */
  digest(): string {
    const hash = createHash('sha256');
    for (const { block, start, length, promptLength } of this.#places) {
      hash.update(Int32Array.of(length, promptLength));
      hash.update(this.#ids[block]!.subarray(start, start + length));
      hash.update(this.#weights[block]!.subarray(start, start + length));
    }
    return hash.digest('hex');
  }

  /** A store of some of the rows, in the given order. */
  pick(indices: readonly number[]): RowStore {
    const picked = new RowStore();
    for (const index of indices) picked.add(this.row(index));
    return picked;
  }

  #place(index: number): Place {
    return this.#places[index]!;
  }
}
