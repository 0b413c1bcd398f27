import { DataError } from '../errors.ts';
import { isThere } from '../store/files.ts';
import { type Directions, directionsSchema } from '../store/result-schema.ts';
import type { VectorMetadata } from '../store/vector-file.ts';
import { readVectorFile, writeVectorFile } from '../store/vector-file.ts';
import { type OtherDirections, findDirections } from './directions-step.ts';
import { type ExtractContext, type StepRollouts, runRollouts, runStep } from './extract-context.ts';
import { extractionPlan } from './extract-plans.ts';
import type { Settings } from './extract-options.ts';
import { type KeptRows, differenceOfMeans, meanNorms } from './extract-vector.ts';
import { type FilterCounts, type FilterResult, filterPairs } from './filter.ts';
import { describeDropped } from './filter-words.ts';
import { importRollouts } from './import-rollouts.ts';
import { pairByKey } from './pair-by-key.ts';
import type { Pole } from './poles.ts';
import { PersonaVector } from './vector.ts';

/** A replicator's rule: with fewer pairs than this the vector is mostly noise, and the trait is given up. */
export const MIN_PAIRS = 30;

/** What the first half of an extraction yields. */
export interface Extracted {
  readonly vector: PersonaVector;
  readonly counts: FilterCounts;
  /** Null where none are asked for. */
  readonly directions: Directions | null;
}

/**
 * Rollouts under both poles, judge, paired filter and difference of means: leaves `rollouts.jsonl`,
 * `activations.safetensors` and `vector.safetensors` (still without a recommendation) in the run folder.
 *
 * @throws DataError when the filter keeps fewer than 30 pairs and the run is not forced, or none.
 */
export async function extractVectorStep(context: ExtractContext): Promise<Extracted> {
  const { settings, folder } = context;
  const { given } = settings;
  const paths = { rows: folder.file('rollouts'), activations: folder.file('activations') };
  const rollouts = await runStep(context, 'rollouts', async () => {
    const value = await (given === null
      ? runRollouts(context, 'rollouts', extractionPlan(settings), paths)
      : importRollouts(context, given, paths));
    return { value, reused: value.reused };
  });
  try {
    const { rows } = rollouts;
    const places = new Map(rows.map(({ key }, index) => [key, index]));
    const pairs = pairByKey([...places.keys()], (key) => rows[places.get(key) ?? -1]?.scores);
    const filter = filterPairs(pairs, settings.filter);
    requirePairs(filter.counts, settings);
    const vector = await runStep(context, 'vector', () => writeVector(context, filter, places, rollouts));
    const directions = await folder.readJson('directions', directionsSchema);
    return { vector, counts: filter.counts, directions };
  } finally {
    await rollouts.close();
  }
}

/** Writes the vector file again with what the sweep recommends. */
export async function recommendVector(
  path: string,
  recommended: { readonly layer: number | null; readonly coef: number } | null,
): Promise<PersonaVector> {
  const file = await readVectorFile(path);
  const recommendedLayer = recommended?.layer ?? null;
  const recommendedStrength = recommended?.coef ?? null;
  await writeVectorFile(path, {
    ...file,
    metadata: { ...file.metadata, recommendedLayer, recommendedStrength },
  });
  return PersonaVector.load(path);
}

function keptRows({ kept }: FilterResult, places: ReadonlyMap<string, number>): KeptRows {
  const placesOf = (pole: Pole): number[] => kept[pole].map((key) => places.get(`${pole}/${key}`)!);
  return { pos: placesOf('pos'), neg: placesOf('neg') };
}

async function writeVector(
  { settings, folder }: ExtractContext,
  filter: FilterResult,
  places: ReadonlyMap<string, number>,
  rollouts: StepRollouts,
): Promise<{ value: PersonaVector; reused: boolean }> {
  const path = folder.file('vector');
  const reused = await isThere(path);
  if (!reused) {
    const rows = keptRows(filter, places);
    const { layers, width } = settings.model.checkpoint.config;
    const norms = await meanNorms([...rows.pos, ...rows.neg], settings.pooling, width, rollouts.record);
    const means = await differenceOfMeans(rows, settings.capture, rollouts.record);
    const others = await otherDirections(settings, rows, means, rollouts);
    // Before the vector: where the vector is there, these are too.
    if (others !== null) await folder.writeJson('directions', others.summary);
    const tensors = new Map([...means, ...(others?.tensors ?? [])]);
    await writeVectorFile(path, {
      layers,
      width,
      tensors,
      metadata: metadataOf(settings, filter.counts, norms),
    });
  }
  return { value: await PersonaVector.load(path), reused };
}

function otherDirections(
  { directions, pooling, filter, model }: Settings,
  rows: KeptRows,
  means: ReadonlyMap<string, Float32Array>,
  { record }: StepRollouts,
): Promise<OtherDirections | null> {
  if (directions.length === 0) return Promise.resolve(null);
  const { width } = model.checkpoint.config;
  const paired = filter.mode === 'paired';
  const vector = means.get(pooling)!;
  return findDirections({ kinds: directions, pooling, rows, paired, vector, width, read: record });
}

function metadataOf(
  settings: ExtractContext['settings'],
  counts: FilterCounts,
  residualNorms: readonly number[],
): VectorMetadata {
  const { checkpoint } = settings.model;
  return {
    trait: settings.trait.name,
    model: checkpoint.id,
    modelRevision: checkpoint.revision,
    modelFingerprint: settings.fingerprint,
    pooling: settings.pooling,
    method: 'difference_of_means',
    pairsKept: counts.kept,
    pairsTotal: counts.pairs,
    threshold: settings.filter.threshold,
    residualNorms,
    recommendedLayer: null,
    recommendedStrength: null,
  };
}

function requirePairs(counts: FilterCounts, { force, filter }: Settings): void {
  const least = force ? 1 : MIN_PAIRS;
  if (counts.kept >= least) return;
  const advice =
    counts.kept === 0
      ? 'the instructions do not bring the trait out in this model, so change them, the model or the threshold'
      : 'sample more, change the instructions, or force the run';
  const wanted = counts.mode === 'paired' ? `${counts.pairs} pairs` : `${counts.pairs} rollouts of each pole`;
  throw new DataError(
    `Expected the filter to keep at least ${least} of ${wanted} at threshold ${filter.threshold}, got ${counts.kept} (dropped: ${describeDropped(counts)}); ${advice}.`,
    { details: { reason: 'too-few-kept', kept: counts.kept, pairs: counts.pairs } },
  );
}
