import { StoreError } from '../errors.ts';
import { type FileSystem, isThere, renameLasting, storeFailure, systemFiles, writeWhole } from './files.ts';
import { type JsonlLog, jsonLine, openJsonlLog, readJsonl } from './jsonl.ts';
import { type RecordFile, type RecordLayout, type RecordPart, openRecordFile } from './record-file.ts';
import {
  type Rollout,
  type ScoredRollout,
  type Scores,
  rolloutSchema,
  scoreLineSchema,
  scoredRolloutSchema,
} from './rollout-schema.ts';

export interface RolloutStoreOptions {
  /** Path of the finished rows, such as `…/rollouts.jsonl`. */
  readonly rows: string;
  /** Path of the finished activations, or null where none are kept. */
  readonly activations: string | null;
  /** The planned rows in their final order; the index in this list is the row's place in both files. */
  readonly keys: readonly string[];
  /** What is kept of every row; needed where `activations` is given. */
  readonly layout?: Omit<RecordLayout, 'rows'>;
  readonly files?: FileSystem;
}

/** A finished rollout to store: `records` is one Float32Array for every name of the layout. */
export interface NewRollout {
  readonly row: Rollout;
  readonly records?: Readonly<Record<string, Float32Array>>;
}

/** The scores of a row. */
export interface ScoredKey {
  readonly key: string;
  readonly scores: Scores;
}

/**
 * Rollouts and their activations on disk, filled in any order and in any number of sittings.
 *
 * While it grows, rows are appended to `….partial` and activations are written at their final places; a row is
 * appended only when its activations are on the disk. `finish` writes the rows in planned order, so that the
 * finished files depend on the plan alone, however often the work was interrupted.
 */
export interface RolloutStore {
  /** Planned rows. */
  readonly size: number;
  /** Whether all rows are there, scored and in order. */
  readonly finished: boolean;
  /** Bytes of an unfinished row that a killed process left, which is made again. */
  readonly droppedBytes: number;
  /** Indices of planned rows that are not there yet. */
  missing(): number[];
  /** Indices of rows without scores. */
  unscored(): number[];
  /** A stored row. */
  row(index: number): Rollout;
  addRollouts(rollouts: readonly NewRollout[]): Promise<void>;
  addScores(scores: readonly ScoredKey[]): Promise<void>;
  /** Puts both files in their final form; every row must be there and scored. */
  finish(): Promise<void>;
  /** All rows in planned order; only when finished. */
  scored(): readonly ScoredRollout[];
  /** The activations of a row, `[...layout.shape]`, or a part of them. */
  readonly record: (name: string, index: number, part?: RecordPart) => Promise<Float32Array>;
  readonly close: () => Promise<void>;
}

/**
 * Opens the store of a plan, new or begun.
 *
 * @throws StoreError or DataError when the files are not those of this plan.
 */
export async function openRolloutStore(options: RolloutStoreOptions): Promise<RolloutStore> {
  const files = options.files ?? systemFiles;
  const finished = await isThere(options.rows, files);
  const state: State = {
    options,
    files,
    places: new Map(options.keys.map((key, index) => [key, index])),
    rows: new Map(),
    scores: new Map(),
    records: null,
    log: null,
    scoreLog: null,
    finished,
    droppedBytes: 0,
  };
  try {
    await (finished ? openFinished(state) : openPartial(state));
  } catch (error) {
    await closeAll(state);
    throw storeFailure(options.rows, error);
  }
  return storeOf(state);
}

interface State {
  readonly options: RolloutStoreOptions;
  readonly files: FileSystem;
  readonly places: ReadonlyMap<string, number>;
  readonly rows: Map<number, Rollout>;
  readonly scores: Map<number, Scores>;
  records: RecordFile | null;
  log: JsonlLog<Rollout> | null;
  scoreLog: JsonlLog<ScoredKey> | null;
  finished: boolean;
  droppedBytes: number;
}

const partial = (path: string): string => `${path}.partial`;
const scoresOf = (path: string): string => `${path}.scores.partial`;

async function openFinished(state: State): Promise<void> {
  const { rows, activations } = state.options;
  for await (const { value } of readJsonl(rows, scoredRolloutSchema, state.files)) {
    const { scores, ...row } = value;
    const index = placeOf(state, row.key);
    state.rows.set(index, row);
    state.scores.set(index, scores);
  }
  if (state.rows.size !== state.options.keys.length) {
    throw foreign(rows, `expected ${state.options.keys.length} rows, got ${state.rows.size}`);
  }
  if (activations !== null) {
    state.records = await openRecords(state, activations, false);
  }
  await removePartials(state);
}

async function openPartial(state: State): Promise<void> {
  const { rows, activations } = state.options;
  if (activations !== null) {
    // A kill between the two renames of `finish` leaves the activations under their final name already.
    const done = await isThere(activations, state.files);
    state.records = await openRecords(state, done ? activations : partial(activations), true);
    // Rows without their activations are made again, and judged again.
    if (state.records.fresh) await removePartials(state);
  }
  state.log = await openJsonlLog(partial(rows), rolloutSchema, state.files);
  state.scoreLog = await openJsonlLog(scoresOf(rows), scoreLineSchema, state.files);
  state.droppedBytes = state.log.droppedBytes + state.scoreLog.droppedBytes;
  for (const row of state.log.rows) state.rows.set(placeOf(state, row.key), row);
  for (const { key, scores } of state.scoreLog.rows) {
    state.scores.set(placeOf(state, key), scores);
  }
}

function openRecords(state: State, path: string, create: boolean): Promise<RecordFile> {
  const { layout, keys } = state.options;
  if (layout === undefined) throw foreign(path, 'expected a layout of what is kept of a row');
  return openRecordFile(path, { ...layout, rows: keys.length }, { create, files: state.files });
}

function storeOf(state: State): RolloutStore {
  const all = state.options.keys.map((_, index) => index);
  return {
    size: all.length,
    get finished() {
      return state.finished;
    },
    droppedBytes: state.droppedBytes,
    missing: () => all.filter((index) => !state.rows.has(index)),
    unscored: () => all.filter((index) => state.rows.has(index) && !state.scores.has(index)),
    row: (index) => rowAt(state, index),
    addRollouts: (rollouts) => addRollouts(state, rollouts),
    addScores: (scores) => addScores(state, scores),
    finish: () => finish(state),
    scored: () => all.map((index) => scoredRow(state, index)),
    record: (name, index, part) => {
      if (state.records === null) throw foreign(state.options.rows, 'expected activations, got none kept');
      return state.records.read(name, index, part);
    },
    close: () => closeAll(state),
  };
}

async function addRollouts(state: State, rollouts: readonly NewRollout[]): Promise<void> {
  for (const { row, records } of rollouts) await state.records?.write(placeOf(state, row.key), records ?? {});
  await state.records?.sync();
  await state.log?.append(rollouts.map(({ row }) => row));
  for (const { row } of rollouts) state.rows.set(placeOf(state, row.key), row);
}

async function addScores(state: State, lines: readonly ScoredKey[]): Promise<void> {
  await state.scoreLog?.append([...lines]);
  for (const { key, scores } of lines) state.scores.set(placeOf(state, key), scores);
}

async function finish(state: State): Promise<void> {
  if (state.finished) return;
  const { rows, activations, keys } = state.options;
  const text = keys.map((_, index) => jsonLine(scoredRow(state, index))).join('');
  if (activations !== null && !(await isThere(activations, state.files))) {
    await renameLasting(partial(activations), activations, state.files).catch((error: unknown) => {
      throw storeFailure(activations, error);
    });
  }
  await writeWhole(rows, text);
  state.finished = true;
  await state.log?.close();
  await state.scoreLog?.close();
  [state.log, state.scoreLog] = [null, null];
  await removePartials(state);
}

async function removePartials(state: State): Promise<void> {
  const { rows } = state.options;
  for (const path of [partial(rows), scoresOf(rows)]) await state.files.rm(path, { force: true });
}

async function closeAll(state: State): Promise<void> {
  await state.log?.close();
  await state.scoreLog?.close();
  await state.records?.close();
  [state.log, state.scoreLog, state.records] = [null, null, null];
}

function placeOf(state: State, key: string): number {
  const index = state.places.get(key);
  if (index === undefined) throw foreign(state.options.rows, `it has a row "${key}", which is not planned`);
  return index;
}

function rowAt(state: State, index: number): Rollout {
  const row = state.rows.get(index);
  if (row === undefined) throw foreign(state.options.rows, `row ${index} is not there yet`);
  return row;
}

/** A fixed order of fields, so that equal rows are equal bytes. */
function scoredRow(state: State, index: number): ScoredRollout {
  const row = rowAt(state, index);
  const { key, ids, system, question, text, prompt_tokens, response_ids, finish_reason, given } = row;
  const scores = state.scores.get(index);
  if (scores === undefined) throw foreign(state.options.rows, `row "${key}" is not scored yet`);
  const { trait, coherence, raw } = scores;
  const judged = { trait, coherence, raw };
  const made = { key, ids, system, question, text, prompt_tokens, response_ids, finish_reason };
  return { ...made, ...(given && { given }), scores: judged };
}

function foreign(path: string, problem: string): StoreError {
  return new StoreError(`"${path}" does not belong to this run: ${problem}; start again in a new folder.`, {
    details: { file: path },
  });
}
