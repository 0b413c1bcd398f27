import { join } from 'node:path';
import { loadFromCheckpoint } from '../../engine/load.ts';
import type { Dtype, LanguageModel } from '../../engine/model.ts';
import { AbortError, UsageError } from '../../errors.ts';
import { loadCheckpoint } from '../../model/checkpoint.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import { readJsonObject } from '../../model/json-text.ts';
import { type Watched, originNotes, watchVectors } from '../../persona/projection/watch.ts';
import { openAnswerCache } from '../../store/answer-cache.ts';
import { answerCacheFolder, cacheFolder } from '../../store/cache-folder.ts';
import { type ColumnMap, parseColumnMap } from '../../store/dataset/column-map.ts';
import { findDatasetFiles } from '../../store/dataset/dataset-files.ts';
import { type BadRow, type Dataset, openDataset } from '../../store/dataset/read-dataset.ts';
import { SCHEMA_VERSION, describeArtifact } from '../../store/manifest.ts';
import { packageInfo } from '../../store/package-info.ts';
import { type OpenFolder, openFolder, runFiles } from '../../store/run-folder.ts';
import { parseStrict } from '../../store/strict-json.ts';
import { ShardStore } from '../../store/screen-folder.ts';
import { type ScreenManifest, screenManifestSchema } from '../../store/screen-schema.ts';
import { directionHash } from '../../training/directions.ts';
import { defined } from '../../util/defined.ts';
import { sha256 } from '../../util/hash.ts';
import { type FlagRule, checkReference } from './flags.ts';
import { type Merged, mergeShards } from './merge.ts';
import { renderScreenReport } from './report.ts';
import { type ShardTotals, runShards } from './run-shards.ts';
import type { ScreenedTurns } from './samples.ts';
import { type ScreenMode, type Scorer, scoreSamples } from './score.ts';
import { sampledRows } from './sampled-rows.ts';
import { tokenColours } from './token-colours.ts';

export interface ScreenOptions {
  readonly model: string;
  /** Files or folders. */
  readonly data: readonly string[];
  /** Files whose rows are known to show the trait: screened with the rest, and the ranking is judged by them. */
  readonly known?: readonly string[] | undefined;
  /** Files or names of vectors; see `findVector`. */
  readonly vectors: readonly string[];
  readonly vectorFolder?: string | undefined;
  readonly layer?: number | undefined;
  readonly pooling?: string | undefined;
  readonly out: string;
  /** Default `prompt-last`, which generates nothing. */
  readonly mode?: ScreenMode | undefined;
  readonly turns?: ScreenedTurns | undefined;
  /** As `parseColumnMap` reads it. */
  readonly map?: string | undefined;
  readonly where?: string | undefined;
  /** So many rows, drawn at random. */
  readonly sample?: number | undefined;
  readonly seed?: number | undefined;
  readonly skipBad?: boolean | undefined;
  readonly threshold?: number | undefined;
  /** Default 95. */
  readonly percentile?: number | undefined;
  /** Folder of a finished screening, whose percentile is the threshold. */
  readonly reference?: string | undefined;
  /** Longest reply of the model's own; default 256. */
  readonly maxTokens?: number | undefined;
  /** Longest prompt; default 512, as in the paper. */
  readonly maxPromptTokens?: number | undefined;
  /** Default 500. */
  readonly extremes?: number | undefined;
  readonly shardSamples?: number | undefined;
  readonly dtype?: Dtype | undefined;
  readonly blockSize?: 32 | 128 | undefined;
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly onBad?: ((row: BadRow) => void) | undefined;
  readonly onProgress?: ((samples: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ScreenResult {
  readonly folder: string;
  readonly manifest: ScreenManifest;
}

/** What a screening is made of, checked and settled before any weight is loaded. */
interface Plan {
  readonly options: ScreenOptions;
  readonly checkpoint: Checkpoint;
  readonly fingerprint: string;
  readonly watched: readonly Watched[];
  readonly dataset: Dataset;
  /** Files of the known rows, as the keys of their rows begin. */
  readonly known: ReadonlySet<string>;
  readonly mode: ScreenMode;
  readonly rule: FlagRule;
  readonly maxTokens: number;
  readonly maxPromptTokens: number;
  readonly seed: number;
  readonly turns: ScreenedTurns;
  /** How many bad rows were passed over so far. */
  readonly bad: Set<string>;
}

/** Screens a data set, or goes on with a screening that was stopped; equal options end in equal files. */
export async function screen(options: ScreenOptions): Promise<ScreenResult> {
  const plan = await planScreening(options);
  const folder = await openFolder(options.out, await recipeOf(plan));
  try {
    const done = await folder.readJson('manifest', screenManifestSchema);
    return { folder: folder.path, manifest: done ?? (await run(plan, folder)) };
  } finally {
    await folder.close();
  }
}

async function planScreening(options: ScreenOptions): Promise<Plan> {
  const { mode = 'prompt-last', seed = 0, turns = 'first', maxTokens = 256, maxPromptTokens = 512 } = options;
  const map: ColumnMap | undefined = options.map === undefined ? undefined : parseColumnMap(options.map);
  const rule = await ruleOf(options);
  const checkpoint = await loadCheckpoint(options.model);
  const watched = await watchVectors(checkpoint, {
    vectors: options.vectors,
    folder: options.vectorFolder,
    layer: options.layer,
    pooling: options.pooling,
  });
  for (const note of originNotes(watched, checkpoint.id)) options.onNotice?.(note);
  const fingerprint = await checkpointFingerprint(checkpoint);
  if (rule.by === 'reference') checkReference(rule.manifest, { mode, fingerprint, watched });
  const bad = new Set<string>();
  const onBad = (row: BadRow): void => {
    const place = `${row.file}:${row.line}`;
    if (!bad.has(place)) options.onBad?.(row);
    bad.add(place);
  };
  const { where, signal, skipBad } = options;
  const dataset = await openDataset([...options.data, ...(options.known ?? [])], {
    map,
    where,
    signal,
    onBad: skipBad === true ? onBad : undefined,
  });
  const known = options.known === undefined ? new Set<string>() : await fileKeys(dataset, options.known);
  const settled = { options, checkpoint, fingerprint, watched, dataset, known, mode, rule };
  return { ...settled, maxTokens, maxPromptTokens, seed, turns, bad };
}

/** What the keys of the rows of some of a data set's files begin with. */
async function fileKeys(dataset: Dataset, paths: readonly string[]): Promise<Set<string>> {
  const inside = new Set((await findDatasetFiles(paths)).map(({ path }) => path));
  return new Set(dataset.files.flatMap(({ path }, index) => (inside.has(path) ? [`${index + 1}:`] : [])));
}

async function ruleOf({ threshold, percentile, reference }: ScreenOptions): Promise<FlagRule> {
  if (threshold !== undefined && (percentile !== undefined || reference !== undefined))
    throw new UsageError('Expected a threshold, or a percentile of some samples, got both; choose one.');
  if (threshold !== undefined) return { by: 'threshold', value: threshold };
  if (reference === undefined) return { by: 'percentile', percentile: percentile ?? 95 };
  const file = join(reference, runFiles.manifest);
  const manifest = parseStrict(screenManifestSchema, await readJsonObject(file, 64_000_000), `"${file}"`);
  return { by: 'reference', percentile: percentile ?? 95, manifest };
}

/** All that decides the results. Files count by what is in them, not by their names. */
async function recipeOf(plan: Plan): Promise<Record<string, never>> {
  const { options, watched, mode, rule, dataset, maxTokens, maxPromptTokens, seed, turns } = plan;
  const data: string[] = [];
  for (const { path } of dataset.files) data.push((await describeArtifact(path)).sha256);
  const recipe = {
    kind: 'screen',
    model: plan.fingerprint,
    dtype: options.dtype ?? 'fp32',
    block_size: options.blockSize ?? 32,
    vectors: watched.map(({ name, layer, vector }) => ({ name, layer, sha256: directionHash(vector) })),
    data,
    known: [...plan.known],
    mode,
    turns,
    map: options.map ?? null,
    where: options.where ?? null,
    sample: options.sample ?? null,
    skip_bad: options.skipBad === true,
    seed,
    flag:
      rule.by === 'reference'
        ? { by: rule.by, percentile: rule.percentile, sha256: sha256(JSON.stringify(rule.manifest)) }
        : { ...rule },
    max_tokens: mode === 'full' ? maxTokens : null,
    max_prompt_tokens: maxPromptTokens,
    extremes: options.extremes ?? 500,
    shard_samples: options.shardSamples ?? 512,
  };
  return recipe as unknown as Record<string, never>;
}

async function run(plan: Plan, folder: OpenFolder): Promise<ScreenManifest> {
  const { options, checkpoint } = plan;
  const { dtype, blockSize, onNotice } = options;
  const model = await loadFromCheckpoint(checkpoint, defined({ dtype, blockSize, onNotice }));
  try {
    const shards = await ShardStore.open(folder.path);
    const totals = await scoreAll(plan, model, shards);
    const merged = await mergeShards({
      folder: folder.path,
      shards,
      shardCount: totals.shards,
      watched: plan.watched,
      rule: plan.rule,
      extremes: options.extremes ?? 500,
      seed: plan.seed,
      isKnown: ({ key }) => plan.known.has(key.slice(0, key.indexOf(':') + 1)),
    });
    const manifest = await manifestOf(plan, model, totals, merged);
    const colours = await tokenColours(model, plan.watched, merged.top, options.signal);
    await folder.writeText('report', renderScreenReport({ manifest, merged, colours }));
    await folder.writeJson('manifest', manifest);
    return manifest;
  } catch (error) {
    if (!(error instanceof AbortError)) throw error;
    throw new AbortError(
      `Stopped; what is finished is kept in "${options.out}", and the same command continues.`,
    );
  } finally {
    await model.close();
  }
}

async function scoreAll(plan: Plan, model: LanguageModel, shards: ShardStore): Promise<ShardTotals> {
  const { options, watched, mode, maxTokens, checkpoint, fingerprint } = plan;
  const identity = JSON.stringify([
    fingerprint,
    model.precision,
    maxTokens,
    watched.map(({ layer, vector }) => [layer, directionHash(vector)]),
  ]);
  // Only replies of this model and these vectors are of use, so a folder of their own keeps others out of memory.
  const cache = await openAnswerCache(
    answerCacheFolder(cacheFolder(), `replies ${checkpoint.id} ${identity}`),
  );
  const scorer: Scorer = { model, watched, mode, maxTokens, cache, identity };
  try {
    return await runShards({
      rows: sampledRows(plan.dataset, options.sample ?? null, plan.seed),
      turns: plan.turns,
      parts: checkpoint,
      limits: { maxPromptTokens: plan.maxPromptTokens, context: checkpoint.config.maxPositions },
      shards,
      shardSamples: options.shardSamples ?? 512,
      score: (samples) => scoreSamples(scorer, samples, options.signal),
      signal: options.signal,
      onProgress: options.onProgress,
    });
  } finally {
    await cache.close();
  }
}

async function manifestOf(
  { checkpoint, fingerprint, dataset, mode, bad }: Plan,
  model: LanguageModel,
  totals: ShardTotals,
  { traits, flagged }: Merged,
): Promise<ScreenManifest> {
  return {
    schema: SCHEMA_VERSION,
    package: await packageInfo(),
    model: {
      id: checkpoint.id,
      revision: checkpoint.revision,
      fingerprint,
      dtype: model.precision,
      layers: checkpoint.config.layers,
      width: checkpoint.config.width,
    },
    kind: 'screen',
    mode,
    schema_of_rows: dataset.schema,
    files: dataset.files.map(({ name }) => name),
    counts: { ...totals, bad: bad.size, flagged },
    traits: [...traits],
  };
}
