import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { GraphBuilder } from '../graph/graph.ts';
import type { Graph, Value } from '../graph/types.ts';
import {
  blockCount,
  type LogitSummary,
  mostLikely,
  type Odds,
  oddsOf,
  summarise,
  summaryBlock,
} from './logit-summary.ts';
import { openSession, runInto } from './session.ts';

/** Vocabularies below this are read faster here than a session is started. */
const leastVocabulary = 8192;
/** Of 1 / temperature: beyond it float32 ends, and such a temperature takes the likeliest token anyway. */
const largestInverse = 3e38;

/**
 * Reads logits `[rows, vocabulary]` in the runtime, where a large vocabulary's maxima and exponentials take a hundredth of
 * what they take in JavaScript. Small graphs of their own, so that steps that need no exponentials compute none. What
 * comes of a row does not depend on the rows beside it.
 */
export class LogitReader {
  private readonly vocabSize: number;
  private readonly sessions: { readonly highest: InferenceSession; readonly odds: InferenceSession } | null;

  private constructor(vocabSize: number, sessions: LogitReader['sessions']) {
    this.vocabSize = vocabSize;
    this.sessions = sessions;
  }

  static async create(vocabSize: number, threads: number): Promise<LogitReader> {
    if (vocabSize < leastVocabulary) return new LogitReader(vocabSize, null);
    const open = (graph: Graph): Promise<InferenceSession> =>
      // The model's own threads are the ones to keep awake.
      openSession(graph, { threads, packed: true, into: true, config: { 'intra_op.allow_spinning': '0' } });
    const highest = await open(highestGraph(vocabSize));
    return new LogitReader(vocabSize, { highest, odds: await open(oddsGraph(vocabSize)) });
  }

  async close(): Promise<void> {
    await this.sessions?.highest.release();
    await this.sessions?.odds.release();
  }

  /** Summaries of all rows; each is a view of `logits`. */
  async summaries(logits: Float32Array): Promise<LogitSummary[]> {
    const rows = this.rowsOf(logits, this.vocabSize);
    if (this.sessions === null) return rows.map(summarise);
    const blocks = blockCount(this.vocabSize);
    const highest = new Float32Array(rows.length * blocks);
    const sums = new Float32Array(rows.length);
    await runInto(this.sessions.highest, this.feeds(logits), {
      highest: new Tensor('float32', highest, [rows.length, blocks]),
      sum: new Tensor('float32', sums, [rows.length]),
    });
    return this.rowsOf(highest, blocks).map((own, row) =>
      Number.isNaN(sums[row]) ? summarise(rows[row]!) : { logits: rows[row]!, highest: own },
    );
  }

  /** Room for the odds of so many rows: megabytes, which are not worth collecting anew at every step. */
  makeRoom(rows: number): Float32Array {
    return new Float32Array(this.sessions === null ? 0 : rows * blockCount(this.vocabSize) * summaryBlock);
  }

  /** Odds of all rows at a temperature each, given their summaries; of a large vocabulary they lie in `room`, until it is used again. */
  async odds(
    logits: Float32Array,
    summaries: readonly LogitSummary[],
    temperatures: readonly number[],
    room: Float32Array = this.makeRoom(summaries.length),
  ): Promise<Odds[]> {
    const largest = summaries.map((summary) => mostLikely(summary).logit);
    if (this.sessions === null) {
      return summaries.map((summary, row) =>
        oddsOf(summary.logits, largest[row] as number, temperatures[row] as number),
      );
    }
    const blocks = blockCount(this.vocabSize);
    const own = room.subarray(0, summaries.length * blocks * summaryBlock);
    const inverse = Float32Array.from(temperatures, (temperature) =>
      Math.min(1 / temperature, largestInverse),
    );
    const masses = new Float32Array(summaries.length * blocks);
    await runInto(
      this.sessions.odds,
      {
        ...this.feeds(logits),
        largest: new Tensor('float32', Float32Array.from(largest), [largest.length, 1]),
        inverse: new Tensor('float32', inverse, [inverse.length, 1]),
      },
      {
        weights: new Tensor('float32', own, [summaries.length, blocks, summaryBlock]),
        masses: new Tensor('float32', masses, [summaries.length, blocks]),
      },
    );
    const allMasses = this.rowsOf(masses, blocks);
    return this.rowsOf(own, blocks * summaryBlock).map((weights, row) => ({
      weights,
      masses: allMasses[row] as Float32Array,
    }));
  }

  private feeds(logits: Float32Array): Record<string, Tensor> {
    const rows = logits.length / this.vocabSize;
    const missing = blockCount(this.vocabSize) * summaryBlock - this.vocabSize;
    const nothing = new Float32Array(rows * missing).fill(-Infinity);
    return {
      logits: new Tensor('float32', logits, [rows, this.vocabSize]),
      ...(missing === 0 ? {} : { nothing: new Tensor('float32', nothing, [rows, missing]) }),
    };
  }

  private rowsOf(values: Float32Array, size: number): Float32Array[] {
    return Array.from({ length: values.length / size }, (_, row) =>
      values.subarray(row * size, (row + 1) * size),
    );
  }
}

/**
 * logits `[row, vocabulary]` → highest `[row, block]` and sum `[row]`, which is there to be NaN where a logit is: the
 * runtime's maximum passes over those.
 */
function highestGraph(vocabSize: number): Graph {
  const g = new GraphBuilder('highest logits');
  const logits = blocks(g, logitInput(g, vocabSize), vocabSize);
  g.output('highest', g.reduceMax(logits, [2], { keepDims: false }));
  g.output('sum', g.reduceSum(logits, [1, 2], { keepDims: false }));
  return g.build();
}

/** logits `[row, vocabulary]`, largest and inverse `[row, 1]` → weights `[row, block, in block]`, masses `[row, block]`. */
function oddsGraph(vocabSize: number): Graph {
  const g = new GraphBuilder('odds');
  const logits = logitInput(g, vocabSize);
  const below = g.sub(logits, g.input('largest', 'f32', ['row', 1]));
  const scaled = g.mul(below, g.input('inverse', 'f32', ['row', 1]));
  const weights = g.exp(blocks(g, scaled, vocabSize));
  g.output('weights', weights);
  g.output('masses', g.reduceSum(weights, [2], { keepDims: false }));
  return g.build();
}

function logitInput(g: GraphBuilder, vocabSize: number): Value {
  return g.input('logits', 'f32', ['row', vocabSize]);
}

/** `[row, block, in block]`, the last block filled up with the input `nothing`, which is −∞. */
function blocks(g: GraphBuilder, logits: Value, vocabSize: number): Value {
  const count = blockCount(vocabSize);
  const missing = count * summaryBlock - vocabSize;
  const whole = missing === 0 ? logits : g.concat([logits, g.input('nothing', 'f32', ['row', missing])], 1);
  return g.reshape(whole, ['row', count, summaryBlock]);
}
