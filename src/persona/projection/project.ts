import type { LanguageModel } from '../../engine/model.ts';
import { defined } from '../../util/defined.ts';
import type { DecidedAt, ProjectionRow, TurnSpan } from './rows.ts';
import type { Direction } from './watch.ts';

/** One turn's projections, one number a watched vector: h·v/‖v‖, in the residual stream's own units. */
export interface TurnProjection {
  /** 1 for the first reply. */
  readonly turn: number;
  /** Index of its message, from 0. */
  readonly message: number;
  /** Which token `before` was read at. */
  readonly decidedAt: DecidedAt;
  /** `[watched]`, at the token before the reply: the paper's monitor. */
  readonly before: Float64Array;
  /** `[watched]`, mean over the reply's words; null for a reply that has none (yet). */
  readonly mean: Float64Array | null;
  /** Words of the reply, in tokens. */
  readonly tokens: number;
}

export interface ProjectedRow {
  /** Position of the row in the input. */
  readonly index: number;
  readonly turns: readonly TurnProjection[];
  /** `[tokens, watched]`, of every token of the row. */
  readonly tokens: Float32Array;
}

export interface ProjectOptions {
  /** Cap on padded tokens in a batch; never needed for correctness. */
  readonly batchTokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Projects rows of tokens on vectors: every token, every turn's mean, and the state before every turn, out of one run of
 * each row. Results come as batches finish, in no fixed order (see `index`). A row's numbers do not depend on the others.
 *
 * @throws DataError for a row that is longer than the model's context; UsageError for more than 16 vectors at one layer.
 */
export async function* projectRows(
  model: LanguageModel,
  watched: readonly Direction[],
  rows: readonly ProjectionRow[],
  options: ProjectOptions = {},
): AsyncGenerator<ProjectedRow> {
  const project = watched.map(({ layer, vector }) => ({ layer, vector }));
  const inputs = rows.map(({ ids }) => ({ ids }));
  for await (const { index, projections } of model.forward(inputs, { project, ...defined({ ...options }) })) {
    const tokens = projections!;
    yield { index, turns: turnsOf(rows[index]!, tokens, watched.length), tokens };
  }
}

/** The turns of a row out of its tokens' projections `[tokens, width]`; those before the first turn are not looked at. */
export function turnsOf({ turns }: ProjectionRow, tokens: Float32Array, width: number): TurnProjection[] {
  return turns.map((span, i) => turnOf(span, i + 1, tokens, width));
}

function turnOf(span: TurnSpan, turn: number, tokens: Float32Array, width: number): TurnProjection {
  const { message, decided, decidedAt, start, end } = span;
  const at = (token: number): Float32Array => tokens.subarray(token * width, (token + 1) * width);
  return {
    turn,
    message,
    decidedAt,
    before: Float64Array.from(at(decided)),
    mean: end > start ? meanOver(at, start, end, width) : null,
    tokens: end - start,
  };
}

/** In token order and Float64, so that a turn's mean depends on nothing but its tokens. */
function meanOver(
  at: (token: number) => Float32Array,
  start: number,
  end: number,
  width: number,
): Float64Array {
  const mean = new Float64Array(width);
  for (let token = start; token < end; token++) at(token).forEach((value, i) => (mean[i]! += value));
  return mean.map((total) => total / (end - start));
}
