/** Logits that lie side by side share one entry of a summary, so that few of them are looked at one by one. */
export const summaryBlock = 128;

/** A row's logits with what choosing among many of them begins with. */
export interface LogitSummary {
  /** `[vocabulary]`. */
  readonly logits: Float32Array;
  /** The largest logit of every block, `[blocks]`. */
  readonly highest: Float32Array;
}

/** The probabilities of a row's tokens, but for their common factor. */
export interface Odds {
  /** exp((logit − largest) / temperature), `[vocabulary]` or longer; 0 behind the vocabulary. */
  readonly weights: Float32Array | Float64Array;
  /** Sum of the weights of every block, `[blocks]`. */
  readonly masses: Float32Array | Float64Array;
}

export function blockCount(vocabSize: number): number {
  return Math.ceil(vocabSize / summaryBlock);
}

/** The summary of logits `[vocabulary]`; a NaN is the largest of its block. */
export function summarise(logits: Float32Array): LogitSummary {
  const highest = new Float32Array(blockCount(logits.length));
  for (let block = 0; block < highest.length; block++) {
    let largest = -Infinity;
    const end = Math.min((block + 1) * summaryBlock, logits.length);
    for (let i = block * summaryBlock; i < end; i++) {
      const logit = logits[i] as number;
      if (logit > largest || Number.isNaN(logit)) largest = logit;
      if (Number.isNaN(logit)) break;
    }
    highest[block] = largest;
  }
  return { logits, highest };
}

/** The odds of logits `[vocabulary]` whose largest is `largest`, in Float64. */
export function oddsOf(logits: Float32Array, largest: number, temperature: number): Odds {
  const weights = new Float64Array(logits.length);
  const masses = new Float64Array(blockCount(logits.length));
  for (let i = 0; i < weights.length; i++) {
    const weight = Math.exp(((logits[i] as number) - largest) / temperature);
    weights[i] = weight;
    const block = Math.floor(i / summaryBlock);
    masses[block] = (masses[block] as number) + weight;
  }
  return { weights, masses };
}

/** The most likely token, the first of equals, and its logit; a NaN where there is one among the largest. */
export function mostLikely({ logits, highest }: LogitSummary): {
  readonly id: number;
  readonly logit: number;
} {
  let block = 0;
  for (let i = 0; i < highest.length; i++) {
    const logit = highest[i] as number;
    if (Number.isNaN(logit)) return { id: i * summaryBlock, logit };
    if (logit > (highest[block] as number)) block = i;
  }
  const logit = highest[block] as number;
  return { id: logits.indexOf(logit, block * summaryBlock), logit };
}

/** Ids of the `count` largest logits, largest first, of equals the first. */
export function largestLogits({ logits, highest }: LogitSummary, count: number): number[] {
  if (count <= 0) return [];
  // As many blocks as there are tokens wanted have one at or above this, so no token below it can be among them.
  const least =
    count >= highest.length ? -Infinity : (highest.slice().sort()[highest.length - count] as number);
  const ids: number[] = [];
  for (let block = 0; block < highest.length; block++) {
    if ((highest[block] as number) < least) continue;
    const end = Math.min((block + 1) * summaryBlock, logits.length);
    for (let id = block * summaryBlock; id < end; id++) if ((logits[id] as number) >= least) ids.push(id);
  }
  return ids.sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b).slice(0, count);
}

/** log Σ exp(logit), of odds at temperature 1. */
export function logNormaliser({ masses }: Odds, largest: number): number {
  let total = 0;
  for (const mass of masses) total += mass;
  return largest + Math.log(total);
}
