import { EngineError } from '../errors.ts';
import { largestLogits, type LogitSummary, logNormaliser, mostLikely, type Odds } from './logit-summary.ts';
import type { LogitReader } from './logit-reader.ts';
import type { DrawnToken, RunningRow } from './running-row.ts';
import { bestToken, penalise, sampleToken } from './sample.ts';
import type { TokenLogprobs } from './types.ts';

/** Rows whose exponentials are taken at once: of a large vocabulary, what a processor's cache holds. */
const rowsAtOnce = 16;

/** What came of a row's draw. */
type Drawn = DrawnToken | EngineError | null;

/** Draws the next tokens of rows from their logits, each as its own options say. */
export class Sampler {
  private readonly reader: LogitReader;
  /** Made when the first row needs exponentials. */
  private room: Float32Array | null = null;

  constructor(reader: LogitReader) {
    this.reader = reader;
  }

  /**
   * One token for each of `rows`, null for those that want none, and the error of those whose logits are not numbers: others
   * go on without them.
   * @param logits `[rows, vocabulary]`, or with more rows behind them that are not read
   */
  async draw(rows: readonly RunningRow[], logits: Float32Array, vocabSize: number): Promise<Drawn[]> {
    const drawn: Drawn[] = [];
    for (let first = 0; first < rows.length; first += rowsAtOnce) {
      const some = rows.slice(first, first + rowsAtOnce);
      const own = logits.subarray(first * vocabSize, (first + some.length) * vocabSize);
      drawn.push(...(await this.drawSome(some, own)));
    }
    return drawn;
  }

  private async drawSome(rows: readonly RunningRow[], logits: Float32Array): Promise<Drawn[]> {
    let summaries = await this.reader.summaries(logits);
    const temperatures = rows.map(({ sampling }) => sampling.temperature || 1);
    const sampled = rows.some(({ sampling }) => sampling.temperature > 0);
    let odds: Odds[] | null = null;
    let reporters: (((id: number) => TokenLogprobs) | null)[] | null = null;
    if (rows.some((row) => row.logprobs !== null)) {
      // Reported is what the model says, before any option.
      const plain = await this.odds(
        logits,
        summaries,
        rows.map(() => 1),
      );
      reporters = rows.map(({ logprobs }, i) =>
        logprobs === null ? null : reporter(summaries[i] as LogitSummary, plain[i] as Odds, logprobs),
      );
      if (temperatures.every((temperature) => temperature === 1)) odds = plain;
    }
    const undo = penaliseSeen(rows, summaries);
    if (undo.length > 0) {
      summaries = await this.reader.summaries(logits);
      odds = null;
    }
    if (sampled) odds ??= await this.odds(logits, summaries, temperatures);
    const ids = rows.map((row, i) => (row.wantsToken ? pick(row, summaries[i]!, odds?.[i] ?? null) : null));
    for (const restore of undo) restore();
    return ids.map((id, i) => (typeof id === 'number' ? { id, report: reporters?.[i]?.(id) ?? null } : id));
  }

  private odds(
    logits: Float32Array,
    summaries: readonly LogitSummary[],
    temperatures: readonly number[],
  ): Promise<Odds[]> {
    this.room ??= this.reader.makeRoom(rowsAtOnce);
    return this.reader.odds(logits, summaries, temperatures, this.room);
  }
}

/** The id of a row's next token. */
function pick(row: RunningRow, summary: LogitSummary, odds: Odds | null): number | EngineError {
  try {
    return odds === null || row.sampling.temperature === 0
      ? bestToken(summary)
      : sampleToken(summary, odds, row.sampling, row.random);
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
}

/** Makes what rows have said less likely, where they ask for that; gives what takes it back. */
function penaliseSeen(rows: readonly RunningRow[], summaries: readonly LogitSummary[]): (() => void)[] {
  return rows.flatMap((row, i) => {
    const { repetitionPenalty } = row.sampling;
    if (repetitionPenalty === 1) return [];
    return [penalise((summaries[i] as LogitSummary).logits, repetitionPenalty, row.seen())];
  });
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
