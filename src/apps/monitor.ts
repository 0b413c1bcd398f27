import { rename, rm } from 'node:fs/promises';
import { z } from 'zod';
import type { LanguageModel } from '../engine/model.ts';
import { DataError, UsageError } from '../errors.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import { baselineOf, calibrated } from '../persona/projection/baseline.ts';
import type { TurnProjection } from '../persona/projection/project.ts';
import { originNotes, type Watched } from '../persona/projection/watch.ts';
import type { Baseline, BaselineVector, CalibratedPlace } from '../store/baseline-file.ts';
import { writeWhole } from '../store/files.ts';
import { type JsonlLog, jsonLine, openJsonlLog } from '../store/jsonl.ts';
import { describeArtifact } from '../store/manifest.ts';
import {
  type MonitorAlert,
  type MonitorRow,
  monitorHeadSchema,
  monitorRowSchema,
  type Reading,
} from '../store/monitor-rows.ts';
import { directionHash } from '../training/directions.ts';
import { sha256 } from '../util/hash.ts';
import { defaultDriftRule, drift, type DriftRule } from './monitor-drift.ts';
import { type ProjectedTranscript, projectTranscripts } from './project-transcripts.ts';

export interface MonitorOptions {
  readonly model: LanguageModel;
  readonly watched: readonly Watched[];
  /** Conversations; see `readTranscripts`. */
  readonly input: string;
  /** The JSON-lines file to write, one row a conversation, in the order of the input. */
  readonly output: string;
  /** What z-scores, percentiles and alerts are measured by; without it there are projections alone. */
  readonly baseline?: Baseline | undefined;
  readonly rule?: DriftRule | undefined;
  /** Which reading of a turn drifts: the reply's mean, or the state before it. Default `mean`. */
  readonly reading?: 'mean' | 'before' | undefined;
  /** Takes what is wrong with a conversation, which is then left out; by default the first fault is thrown. */
  readonly onBad?: ((error: DataError) => void) | undefined;
  /** Sees every conversation as it is done, with its tokens; for reports. */
  readonly onConversation?: ((row: MonitorRow, one: ProjectedTranscript) => void) | undefined;
  readonly onProgress?: ((conversations: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface MonitorResult {
  readonly output: string;
  /** In the order of the input. */
  readonly rows: readonly MonitorRow[];
  /** Conversations that were left out, as `onBad` was told. */
  readonly skipped: number;
  readonly rule: DriftRule;
  readonly reading: 'mean' | 'before';
  readonly notes: readonly string[];
}

/**
 * Watches conversations turn by turn: what each says of every vector before and during every reply, how usual that is, and
 * from which turn on it has drifted. A run that is stopped continues where it was.
 *
 * @throws DataError naming the line of a conversation that cannot be run; UsageError for a baseline of other vectors.
 */
export async function monitor(options: MonitorOptions): Promise<MonitorResult> {
  const { model, watched, baseline, output, rule = defaultDriftRule, reading = 'mean' } = options;
  const scene: Scene = {
    watched,
    rule,
    reading,
    known: baseline === undefined ? null : watched.map((one) => baselineOf(baseline, one)),
  };
  const partial = `${output}.partial`;
  const log = await openLog(partial, await runName(options, scene));
  const rows = log.rows.flatMap((row) => ('line' in row ? [row] : []));
  const done = new Set(rows.map(({ line }) => line));
  let skipped = 0;
  const bad = options.onBad;
  const onBad = bad && ((error: DataError): void => (skipped++, bad(error)));
  try {
    for await (const chunk of projectTranscripts({ ...options, isDone: (line) => done.has(line), onBad })) {
      const fresh = chunk.map((one) => monitorRow(one, scene));
      await log.append(fresh);
      fresh.forEach((row, i) => options.onConversation?.(row, chunk[i]!));
      rows.push(...fresh);
      options.onProgress?.(rows.length);
    }
  } finally {
    await log.close();
  }
  if (rows.length === 0)
    throw new DataError(`"${options.input}": expected at least one conversation that can be run, got none.`);
  rows.sort((a, b) => a.line - b.line);
  await writeWhole(output, rows.map(jsonLine).join(''));
  await rm(partial, { force: true });
  const notes = [...originNotes(watched, model.checkpoint.id), ...baselineNotes(baseline, model)];
  return { output, rows, skipped, rule, reading, notes };
}

interface Scene {
  readonly watched: readonly Watched[];
  readonly rule: DriftRule;
  readonly reading: 'mean' | 'before';
  /** By watched vector; null without a baseline. */
  readonly known: readonly BaselineVector[] | null;
}

const lineSchema = z.union([monitorRowSchema, monitorHeadSchema]);
type Line = z.infer<typeof lineSchema>;

/** Continues the log of the same run; one of another run, or one that is broken, gives way. */
async function openLog(file: string, run: string): Promise<JsonlLog<Line>> {
  const log = await openJsonlLog(file, lineSchema).catch((error: unknown) => {
    if (error instanceof DataError) return null;
    throw error;
  });
  const [head] = log?.rows ?? [];
  if (log !== null && head !== undefined && 'run' in head && head.run === run) return log;
  await log?.close();
  if (log === null || log.rows.length > 0) await rename(file, `${file}.old`);
  const fresh = await openJsonlLog(file, lineSchema);
  await fresh.append([{ run }]);
  return fresh;
}

/** A name for all that decides the rows. */
async function runName({ model, input, baseline }: MonitorOptions, scene: Scene): Promise<string> {
  return sha256(
    JSON.stringify([
      await checkpointFingerprint(model.checkpoint),
      model.precision,
      (await describeArtifact(input)).sha256,
      scene.watched.map(({ name, layer, vector }) => [name, layer, directionHash(vector)]),
      scene.rule,
      scene.reading,
      baseline === undefined ? null : sha256(JSON.stringify(baseline)),
    ]),
  );
}

function monitorRow({ transcript, row, projected }: ProjectedTranscript, scene: Scene): MonitorRow {
  const { line, id } = transcript;
  const { watched, known, rule, reading } = scene;
  const byVector = watched.map((_, v) => {
    const turns = projected.turns.map((turn) => readings(turn, v, known?.[v] ?? null));
    const scores = turns.map((one) => one[reading]?.z ?? null);
    return { turns, drift: known === null ? null : drift(scores, rule) };
  });
  const turns = projected.turns.map(({ turn, message, decidedAt, tokens }, t) => ({
    turn,
    message,
    position: decidedAt,
    tokens,
    vectors: Object.fromEntries(
      watched.map(({ name }, v) => [
        name,
        { ...byVector[v]!.turns[t]!, drift: byVector[v]!.drift?.[t] ?? null },
      ]),
    ),
  }));
  const alerts = watched.flatMap(({ name }): MonitorAlert[] => {
    const first = turns.find(({ vectors }) => (vectors[name]!.drift?.alert ?? null) !== null);
    if (first === undefined) return [];
    const at = first.vectors[name]!;
    const direction = at.drift!.alert!;
    const { z: score = null, percentile = null } = at[reading] ?? {};
    return [{ vector: name, turn: first.turn, direction, drift: at.drift![direction], z: score, percentile }];
  });
  return { line, id, tokens: row.ids.length, turns, alerts };
}

function readings(turn: TurnProjection, v: number, known: BaselineVector | null) {
  const at = (values: Float64Array, place: CalibratedPlace): Reading => {
    const projection = values[v]!;
    const usual =
      known === null ? { z: null, percentile: null } : calibrated(projection, known.places[place]);
    return { projection, ...usual };
  };
  return {
    before: at(turn.before, 'prompt_last'),
    mean: turn.mean === null ? null : at(turn.mean, 'response_mean'),
  };
}

function baselineNotes(baseline: Baseline | undefined, { checkpoint }: LanguageModel): string[] {
  if (baseline === undefined || baseline.model === checkpoint.id) return [];
  return [`the baseline is of ${baseline.model}, applied to ${checkpoint.id}`];
}

/** UsageError where alerts are wanted that nothing can raise. */
export function checkAlerts(failOnAlert: boolean, baseline: string | undefined): void {
  if (failOnAlert && baseline === undefined)
    throw new UsageError(
      'Expected --baseline with --fail-on-alert, since alerts are deviations from it; make one with `persona calibrate`.',
    );
}
