import { Tensor } from 'onnxruntime-node';
import { rotaryTables } from '../engine/rotary.ts';
import type { TokenPlace } from '../engine/positions.ts';
import { type ModelConfig, type Rope, ropeOf } from '../model/config.ts';
import { DataError } from '../errors.ts';
import type { Lines } from './lines.ts';
import type { TrainingRow } from './types.ts';

/** Names of the inputs that describe a micro-batch's tokens; see `TokenInputs`. */
export const tokenNames = {
  ids: 'ids',
  positions: 'positions',
  spans: 'spans',
  reach: 'reach',
  /** Of the model's rotary embedding of this number. */
  rotary: (index: number, part: 'cos' | 'sin'): string => `rotary.${index}.${part}`,
  queries: 'queries',
  targets: 'targets',
} as const;

/** Tokens whose probability is asked for: `position` is where the model predicts, counted over all lines. */
export interface Query {
  /** Position of the row among those that were given. */
  readonly row: number;
  readonly position: number;
  readonly target: number;
  readonly weight: number;
}

/** Every token of the rows with a weight, in the order of the rows. */
export function findQueries({ rows, length }: Lines): Query[] {
  return rows.flatMap(({ row, index, line, start }) => {
    const queries: Query[] = [];
    row.weights.forEach((weight, i) => {
      if (weight === 0) return;
      const position = line * length + start + i - 1;
      queries.push({ row: index, position, target: row.ids[i]!, weight });
    });
    return queries;
  });
}

/** Feeds of the tokens, and of the queries among them. */
export function tokenFeeds(
  lines: Lines,
  queries: readonly Query[],
  rotary: RotaryFeeds,
): Record<string, Tensor> {
  const { count, length } = lines;
  const ids = new BigInt64Array(count * length);
  const positions = new BigInt64Array(count * length);
  // Padding has a span of its own, so that every position attends to something and no sum is empty.
  const spans = new Float32Array(count * length).fill(-1);
  const stride = 2 * length;
  for (const { row, line, rank, start } of lines.rows) {
    row.ids.forEach((id, i) => {
      const at = line * length + start + i;
      ids[at] = BigInt(id);
      positions[at] = BigInt(i);
      spans[at] = stride * (rank + 1) + i;
    });
  }
  const shape = [count, length];
  return {
    [tokenNames.ids]: new Tensor('int64', ids, shape),
    [tokenNames.positions]: new Tensor('int64', positions, shape),
    [tokenNames.spans]: new Tensor('float32', spans, shape),
    [tokenNames.reach]: new Tensor('float32', Float32Array.of(length - 1), []),
    ...rotary.feeds(length),
    [tokenNames.queries]: new Tensor(
      'int64',
      BigInt64Array.from(queries, ({ position }) => BigInt(position)),
      [queries.length],
    ),
    [tokenNames.targets]: new Tensor(
      'int64',
      BigInt64Array.from(queries, ({ target }) => BigInt(target)),
      [queries.length],
    ),
  };
}

/** The tokens of every line as interventions see them; the padding at a line's end is left out. */
export function linePlaces({ count, rows }: Lines): TokenPlace[][] {
  const places = Array.from({ length: count }, (): TokenPlace[] => []);
  for (const { row, line, start } of rows) {
    row.ids.forEach((id, i) => {
      places[line]![start + i] = { id, index: i, promptLength: row.promptLength };
    });
  }
  return places;
}

/** The different rotary embeddings of a model's blocks. */
export function ropesOf(config: ModelConfig): readonly Rope[] {
  return [...new Set(Array.from({ length: config.layers }, (_, block) => ropeOf(config, block)))];
}

/** Cosines and sines of as many positions as were asked for so far. */
export class RotaryFeeds {
  private readonly config: ModelConfig;
  private positions = 0;
  /** By number of the rotary embedding. */
  private tables: readonly { cos: Float32Array; sin: Float32Array }[] = [];

  constructor(config: ModelConfig) {
    this.config = config;
  }

  feeds(length: number): Record<string, Tensor> {
    const { headSize } = this.config;
    if (length > this.positions) {
      this.positions = length;
      this.tables = ropesOf(this.config).map((rope) => rotaryTables(rope, headSize, length));
    }
    const shape = [this.positions, headSize / 2];
    return Object.fromEntries(
      this.tables.flatMap((table, i) =>
        (['cos', 'sin'] as const).map((part) => [
          tokenNames.rotary(i, part),
          new Tensor('float32', table[part], shape),
        ]),
      ),
    );
  }
}

/** @throws DataError naming the row whose tokens, length or weights cannot be. */
export function checkRow({ key, ids, weights, promptLength }: TrainingRow, config: ModelConfig): void {
  const fail = (expected: string, got: string): never => {
    throw new DataError(`row "${key}": expected ${expected}, got ${got}`, { details: { row: key } });
  };
  if (ids.length < 2) fail('at least two tokens, one to predict from the other', String(ids.length));
  if (ids.length > config.maxPositions)
    fail(`at most ${config.maxPositions} tokens (the model's context)`, `${ids.length}; shorten the row`);
  const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= config.vocabSize);
  if (wrong >= 0) {
    fail(
      `token ids from 0 to ${config.vocabSize - 1}`,
      `${ids[wrong]} at position ${wrong}; the ids may come from another tokenizer`,
    );
  }
  if (weights.length !== ids.length)
    fail(`a weight for each of ${ids.length} tokens`, String(weights.length));
  if (weights[0] !== 0) fail('weight 0 of the first token, which nothing predicts', String(weights[0]));
  if (!weights.every((weight) => weight >= 0 && Number.isFinite(weight)))
    fail('finite weights ≥ 0', String(weights.find((weight) => !(weight >= 0 && Number.isFinite(weight)))));
  if (!Number.isInteger(promptLength) || promptLength < 0 || promptLength > ids.length)
    fail(`a prompt length from 0 to ${ids.length}`, String(promptLength));
}
