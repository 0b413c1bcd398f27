import type { ModelConfig } from '../model/config.ts';
import { pools, type SentenceEnd, type TokenPlace } from './positions.ts';
import type { Pooled, Pooling } from './types.ts';

/**
 * Poolings of one row while it is generated. Means over reply tokens are summed in token order in Float64,
 * so that they depend on nothing but the row.
 */
export class PoolAccumulator {
  /** Set when the last token of a row that reached its limit has been fed. */
  complete = false;
  private readonly config: ModelConfig;
  private readonly wanted: readonly Pooling[];
  private readonly endsSentence: SentenceEnd;
  private promptMean: Float32Array | null = null;
  private promptLast: Float32Array | null = null;
  private readonly sums = new Map<Pooling, { sum: Float64Array; count: number }>();

  constructor(config: ModelConfig, wanted: readonly Pooling[], endsSentence: SentenceEnd) {
    this.config = config;
    this.wanted = wanted;
    this.endsSentence = endsSentence;
  }

  /** The residuals `[L+1, width]` of the prompt: their mean and those of its last token. */
  addPrompt(mean: Float32Array, last: Float32Array): void {
    this.promptMean = mean.slice();
    this.promptLast = last.slice();
    if (this.wanted.includes('boundary_mean')) this.add('boundary_mean', last);
  }

  /** The residuals `[L+1, width]` of one reply token. */
  addToken(place: TokenPlace, residuals: Float32Array): void {
    for (const pooling of ['response_mean', 'boundary_mean'] as const) {
      if (this.wanted.includes(pooling) && pools(pooling, place, this.endsSentence))
        this.add(pooling, residuals);
    }
  }

  /** The wanted poolings; a mean over no token is absent. */
  pooled(): Pooled {
    const pooled: Partial<Record<Pooling, Float32Array>> = {};
    for (const pooling of this.wanted) {
      const found = this.read(pooling);
      if (found !== null) pooled[pooling] = found;
    }
    return pooled;
  }

  private read(pooling: Pooling): Float32Array | null {
    if (pooling === 'prompt_mean') return this.promptMean;
    if (pooling === 'prompt_last') return this.promptLast;
    const entry = this.sums.get(pooling);
    return entry === undefined ? null : Float32Array.from(entry.sum, (x) => x / entry.count);
  }

  private add(pooling: Pooling, residuals: Float32Array): void {
    let entry = this.sums.get(pooling);
    if (entry === undefined) {
      entry = { sum: new Float64Array((this.config.layers + 1) * this.config.width), count: 0 };
      this.sums.set(pooling, entry);
    }
    const { sum } = entry;
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (residuals[i] as number);
    entry.count++;
  }
}
