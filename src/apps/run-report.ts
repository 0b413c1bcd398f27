import { join, resolve } from 'node:path';
import { readJsonObject } from '../model/json-text.ts';
import { pathKind } from '../model/read-bytes.ts';
import { type FilterCounts, type FilterMode, filterPairs } from '../persona/filter.ts';
import { pairByKey } from '../persona/pair-by-key.ts';
import type { CosineMatrix } from '../persona/report-beside.ts';
import { type OtherValidation, type ReportData, renderReport } from '../persona/report.ts';
import { parseTrait } from '../persona/trait.ts';
import type { Validation } from '../persona/validation-steps.ts';
import { PersonaVector } from '../persona/vector.ts';
import { UsageError } from '../errors.ts';
import { writeJson, writeWhole } from '../store/files.ts';
import { readJsonl } from '../store/jsonl.ts';
import { type Manifest, describeArtifact, manifestSchema } from '../store/manifest.ts';
import { packageInfo } from '../store/package-info.ts';
import { directionsSchema, doseSchema, heldOutSchema, sweepSchema } from '../store/result-schema.ts';
import { type ScoredRollout, scoredRolloutSchema } from '../store/rollout-schema.ts';
import { type Recipe, type RunFile, runFiles, validationFolder } from '../store/run-folder.ts';
import { cosineMatrix } from './compare-vectors.ts';
import { type ProtocolName, protocols } from './validate-run.ts';

const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** A finished run read from its folder, with the validations below it. */
export interface RunReport extends ReportData {
  /** Absolute. */
  readonly folder: string;
  /** The model that it was made with. */
  readonly model: Manifest['model'];
}

/**
 * Reads a finished run, to be shown.
 *
 * @param others Vectors to compare with at the run's layer, as files or run folders.
 * @throws UsageError where it is no finished run.
 */
export async function readRun(run: string, others: readonly string[] = []): Promise<RunReport> {
  const folder = resolve(run);
  const manifest = await readOrNull(folder, 'manifest', manifestSchema);
  if (manifest === null)
    throw new UsageError(
      `Expected a finished run in "${run}", got none; give the folder of a "persona extract" that ended.`,
      { details: { file: run } },
    );
  const recipe = manifest.recipe as Recipe;
  const vector = await PersonaVector.load(join(folder, runFiles.vector));
  const positions = recipe['positions'] as string;
  return {
    folder,
    model: manifest.model,
    trait: parseTrait(await readJsonObject(join(folder, runFiles.trait), MAX_JSON_BYTES), ''),
    vector,
    counts: await countsOf(folder, recipe),
    directions: await readOrNull(folder, 'directions', directionsSchema),
    validation: await readValidation(folder, vector.metadata.pooling, positions),
    beside: await besides(folder),
    cosines: others.length === 0 ? null : await cosinesWith(vector, others),
    judge: manifest.judge,
    recipe,
    package: await packageInfo(),
  };
}

/** Writes `report.html` again, and its hash into the manifest; returns its path. */
export async function writeReport(data: RunReport): Promise<string> {
  const file = join(data.folder, runFiles.report);
  await writeWhole(file, renderReport(data));
  const manifest = await readOrNull(data.folder, 'manifest', manifestSchema);
  if (manifest !== null) {
    const artifacts = { ...manifest.artifacts, [runFiles.report]: await describeArtifact(file) };
    await writeJson(join(data.folder, runFiles.manifest), { ...manifest, artifacts });
  }
  return file;
}

async function countsOf(folder: string, recipe: Recipe): Promise<FilterCounts> {
  const rows = await rowsOf(folder, 'rollouts');
  const scores = new Map(rows.map((row) => [row.key, row.scores]));
  const pairs = pairByKey([...scores.keys()], (key) => scores.get(key));
  const { filter, threshold, coherence_threshold: coherence } = recipe;
  const rule = { mode: filter as FilterMode, threshold: Number(threshold), coherence: Number(coherence) };
  return filterPairs(pairs, rule).counts;
}

async function readValidation(folder: string, pooling: string, positions: string): Promise<Validation> {
  return {
    pooling,
    positions,
    sweep: await readOrNull(folder, 'sweep', sweepSchema),
    sweepRows: [...(await rowsOf(folder, 'sweepRollouts')), ...(await rowsOf(folder, 'fineRollouts'))],
    dose: await readOrNull(folder, 'dose', doseSchema),
    doseRows: await rowsOf(folder, 'doseRollouts'),
    heldOut: await readOrNull(folder, 'heldOut', heldOutSchema),
  };
}

/** The protocols that were measured in folders below the run. */
async function besides(folder: string): Promise<OtherValidation[]> {
  const found: OtherValidation[] = [];
  for (const name of Object.keys(protocols) as ProtocolName[]) {
    const below = join(folder, validationFolder(name));
    const { pooling, positions } = protocols[name];
    const validation = await readValidation(below, pooling, positions);
    if (validation.sweep === null && validation.dose === null) continue;
    found.push({ vector: await PersonaVector.load(join(folder, runFiles.vector), pooling), validation });
  }
  return found;
}

async function cosinesWith(vector: PersonaVector, others: readonly string[]): Promise<CosineMatrix> {
  const vectors = [vector];
  for (const path of others) vectors.push((await PersonaVector.import(path)).vector);
  const layer = vector.metadata.recommendedLayer ?? Math.ceil(vector.layers / 2);
  return {
    layer,
    names: vectors.map(({ metadata }) => metadata.trait),
    values: cosineMatrix(vectors, layer),
  };
}

async function rowsOf(folder: string, name: RunFile): Promise<ScoredRollout[]> {
  const file = join(folder, runFiles[name]);
  const rows: ScoredRollout[] = [];
  if ((await pathKind(file)) !== 'file') return rows;
  for await (const { value } of readJsonl(file, scoredRolloutSchema)) rows.push(value);
  return rows;
}

async function readOrNull<T>(
  folder: string,
  name: RunFile,
  schema: { parse(value: unknown): T },
): Promise<T | null> {
  const file = join(folder, runFiles[name]);
  if ((await pathKind(file)) !== 'file') return null;
  return schema.parse(await readJsonObject(file, MAX_JSON_BYTES));
}
