import { join } from 'node:path';
import type { Dtype, LanguageModel } from '../../engine/model.ts';
import { UsageError } from '../../errors.ts';
import { loadCheckpoint } from '../../model/checkpoint.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import { readJsonObject } from '../../model/json-text.ts';
import { type Watched, originNotes, watchVectors } from '../../persona/projection/watch.ts';
import type { Trait } from '../../persona/trait.ts';
import { type ColumnMap, parseColumnMap } from '../../store/dataset/column-map.ts';
import {
  type DatasetFile,
  findDatasetFiles,
  type UrlReader,
  urlReader,
} from '../../store/dataset/dataset-files.ts';
import { type BadRow, type Dataset, openDataset } from '../../store/dataset/read-dataset.ts';
import type { SourceProgress } from '../../store/dataset/source-file.ts';
import { describeArtifact } from '../../store/manifest.ts';
import { runFiles } from '../../store/run-folder.ts';
import { parseStrict } from '../../store/strict-json.ts';
import { screenManifestSchema } from '../../store/screen-schema.ts';
import { directionHash } from '../../training/directions.ts';
import { sha256 } from '../../util/hash.ts';
import { type FlagBy, type FlagRule, checkJudgeRule, checkReference } from './flags.ts';
import { type ScreenJudge, traitsOfVectors } from './judge-rows.ts';
import { parseRedisAddress } from './queue/redis-address.ts';
import type { ScreenedTurns } from './samples.ts';
import type { ScreenMode } from './score.ts';

export interface ScreenOptions {
  readonly model: string;
  /** Folder of a LoRA adapter that the model is run with; see `adaptCheckpoint`. */
  readonly adapter?: string | undefined;
  /** Files or folders, or http(s) URLs of files. */
  readonly data: readonly string[];
  /** Hosts beside a URL's own that its bytes may come from, and addresses of this machine or its network; see `SourceHosts`. */
  readonly allowHosts?: readonly string[] | undefined;
  /** Most bytes of a file from a URL; default 20 GB. */
  readonly maxDownloadBytes?: number | undefined;
  /** Told how far the download of a file is. */
  readonly onDownload?: ((progress: SourceProgress) => void) | undefined;
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
  /** Address of a Redis server: parts are scored by workers that listen there, and not here. */
  readonly queue?: string | undefined;
  /** A judge that reads every reply too; without one, the difference alone flags. */
  readonly judge?: ScreenJudge | undefined;
  /** From which of its scores on; default: the rule of the differences. */
  readonly judgeThreshold?: number | undefined;
  /** With a judge; default `union`. */
  readonly flagBy?: FlagBy | undefined;
  /** Instead of loading the checkpoint. */
  readonly load?: ((checkpoint: Checkpoint) => Promise<LanguageModel>) | undefined;
  readonly onProgress?: ((step: string, samples: number, total: number, detail?: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a screening is made of, checked and settled before any weight is loaded. */
export interface Plan {
  readonly options: ScreenOptions;
  readonly checkpoint: Checkpoint;
  readonly fingerprint: string;
  readonly watched: readonly Watched[];
  /** Of the vectors, for the judge; none without one. */
  readonly traits: readonly Trait[];
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

/** Checks and settles what is asked for, before any weight is loaded. */
export async function planScreening(options: ScreenOptions): Promise<Plan> {
  const { mode = 'prompt-last', seed = 0, turns = 'first', maxTokens = 256, maxPromptTokens = 512 } = options;
  const map: ColumnMap | undefined = options.map === undefined ? undefined : parseColumnMap(options.map);
  const rule = await ruleOf(options);
  const checkpoint = await loadCheckpoint(options.model, options.adapter);
  const watched = await watchVectors(checkpoint, {
    vectors: options.vectors,
    folder: options.vectorFolder,
    layer: options.layer,
    pooling: options.pooling,
  });
  for (const note of originNotes(watched, checkpoint.id)) options.onNotice?.(note);
  const fingerprint = await checkpointFingerprint(checkpoint);
  if (rule.by === 'reference') checkReference(rule.manifest, { mode, fingerprint, watched });
  if (options.judge !== undefined) checkJudgeRule(rule, options.judgeThreshold ?? null, watched);
  if (options.queue !== undefined) parseRedisAddress(options.queue);
  const bad = new Set<string>();
  const onBad = (row: BadRow): void => {
    const place = `${row.file}:${row.line}`;
    if (!bad.has(place)) options.onBad?.(row);
    bad.add(place);
  };
  const { where, signal, skipBad } = options;
  const readUrl = urlReader({
    allowHosts: options.allowHosts,
    maxBytes: options.maxDownloadBytes,
    signal,
    onProgress: options.onDownload,
    onNote: options.onNotice,
  });
  const dataset = await openDataset([...options.data, ...(options.known ?? [])], {
    map,
    where,
    signal,
    readUrl,
    onBad: skipBad === true ? onBad : undefined,
  });
  const known = fileKeys(dataset, await findKnown(options.known ?? [], readUrl));
  const traits =
    options.judge === undefined ? [] : await traitsOf(options, options.judge, watched, checkpoint);
  const settled = { options, checkpoint, fingerprint, watched, traits, dataset, known, mode, rule };
  return { ...settled, maxTokens, maxPromptTokens, seed, turns, bad };
}

function findKnown(paths: readonly string[], readUrl: UrlReader): Promise<readonly DatasetFile[]> {
  return paths.length === 0 ? Promise.resolve([]) : findDatasetFiles(paths, readUrl);
}

/** What the keys of the rows of some of a data set's files begin with. */
function fileKeys(dataset: Dataset, some: readonly DatasetFile[]): Set<string> {
  const inside = new Set(some.map(({ path }) => path));
  return new Set(dataset.files.flatMap(({ path }, index) => (inside.has(path) ? [`${index + 1}:`] : [])));
}

function traitsOf(
  { vectors, vectorFolder: folder }: ScreenOptions,
  { traitSet }: ScreenJudge,
  watched: readonly Watched[],
  checkpoint: Checkpoint,
): Promise<Trait[]> {
  const named = watched.map(({ trait }, i) => ({ reference: vectors[i]!, trait }));
  return traitsOfVectors(named, { folder, traitSet, modelFolder: checkpoint.folder });
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
export async function recipeOf(plan: Plan): Promise<Record<string, never>> {
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
    judge:
      options.judge === undefined
        ? null
        : {
            name: options.judge.name,
            traits: plan.traits.map(({ sha256: hash }) => hash),
            threshold: options.judgeThreshold ?? null,
            flag_by: options.flagBy ?? 'union',
          },
    max_tokens: mode === 'full' || mode === 'auto' ? maxTokens : null,
    max_prompt_tokens: maxPromptTokens,
    extremes: options.extremes ?? 500,
    shard_samples: options.shardSamples ?? 512,
  };
  return recipe as unknown as Record<string, never>;
}
