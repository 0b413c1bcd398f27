import { largestLogits, type LogitSummary, logNormaliser, mostLikely, type Odds } from './logit-summary.ts';
import type { LogitReader } from './logit-reader.ts';
import type { DrawnToken, RunningRow } from './running-row.ts';
import { bestToken, greedy, penalise, type SamplingOptions, sampleToken } from './sample.ts';
import type { GenerateOptions, TokenLogprobs } from './types.ts';

/** Rows whose exponentials are taken at once: of a large vocabulary, what a processor's cache holds. */
const rowsAtOnce = 16;

/** Draws the next tokens of rows from their logits, as a call's options say. */
export class Sampler {
  private readonly reader: LogitReader;
  private readonly options: SamplingOptions;
  /** How many of the most likely tokens are reported with each token; null reports nothing. */
  private readonly logprobs: number | null;
  private readonly room: Float32Array;

  constructor(reader: LogitReader, options: GenerateOptions) {
    const { temperature, topK, topP, minP, repetitionPenalty } = { ...greedy, ...options };
    this.reader = reader;
    this.options = { temperature, topK, topP, minP, repetitionPenalty };
    this.logprobs = options.logprobs ?? null;
    const needsOdds = temperature > 0 || this.logprobs !== null;
    this.room = reader.makeRoom(needsOdds ? rowsAtOnce : 0);
  }

  /**
   * One token for each of `rows`, null for those that want none.
   * @param logits `[rows, vocabulary]`, or with more rows behind them that are not read
   */
  async draw(
    rows: readonly RunningRow[],
    logits: Float32Array,
    vocabSize: number,
  ): Promise<(DrawnToken | null)[]> {
    const drawn: (DrawnToken | null)[] = [];
    for (let first = 0; first < rows.length; first += rowsAtOnce) {
      const some = rows.slice(first, first + rowsAtOnce);
      const own = logits.subarray(first * vocabSize, (first + some.length) * vocabSize);
      drawn.push(...(await this.drawSome(some, own)));
    }
    return drawn;
  }

  private async drawSome(rows: readonly RunningRow[], logits: Float32Array): Promise<(DrawnToken | null)[]> {
    const { repetitionPenalty, temperature } = this.options;
    let summaries = await this.reader.summaries(logits);
    let odds: Odds[] | null = null;
    let reporters: ((id: number) => TokenLogprobs)[] | null = null;
    if (this.logprobs !== null) {
      // Reported is what the model says, before any option.
      const plain = await this.reader.odds(logits, summaries, 1, this.room);
      reporters = summaries.map((summary, row) =>
        reporter(summary, plain[row] as Odds, this.logprobs as number),
      );
      if (temperature === 1) odds = plain;
    }
    const undo: (() => void)[] = [];
    if (repetitionPenalty !== 1) {
      for (const [i, row] of rows.entries())
        undo.push(penalise((summaries[i] as LogitSummary).logits, repetitionPenalty, row.seen()));
      summaries = await this.reader.summaries(logits);
      odds = null;
    }
    if (temperature > 0) odds ??= await this.reader.odds(logits, summaries, temperature, this.room);
    const ids = rows.map((row, i) => {
      const summary = summaries[i] as LogitSummary;
      if (!row.wantsToken) return null;
      return odds === null
        ? bestToken(summary)
        : sampleToken(summary, odds[i] as Odds, this.options, row.random);
    });
    for (const restore of undo) restore();
    return ids.map((id, i) => (id === null ? null : { id, report: reporters?.[i]?.(id) ?? null }));
  }
}

/** Tells the log-probabilities of any token and of the `top` most likely ones. */
function reporter(summary: LogitSummary, odds: Odds, top: number): (id: number) => TokenLogprobs {
  const normaliser = logNormaliser(odds, mostLikely(summary).logit);
  const toLogprob = (id: number): { id: number; logprob: number } => ({
    id,
    logprob: (summary.logits[id] as number) - normaliser,
  });
  const likely = largestLogits(summary, top).map(toLogprob);
  return (id) => ({ ...toLogprob(id), top: likely });
}
