import { DataError } from '../errors.ts';
import { isThere } from '../store/files.ts';
import type { VectorMetadata } from '../store/vector-file.ts';
import { readVectorFile, writeVectorFile } from '../store/vector-file.ts';
import { type ExtractContext, type StepRollouts, runRollouts, runStep } from './extract-context.ts';
import { differenceOfMeans, meanNorms } from './extract-vector.ts';
import { type FilterCounts, type FilterResult, dropReasons, filterPairs } from './filter.ts';
import { systemTexts } from './prompt.ts';
import { type PlannedRollout, planExtraction } from './rollouts.ts';
import { PersonaVector } from './vector.ts';

/** A replicator's rule: with fewer pairs than this the vector is mostly noise, and the trait is given up. */
export const MIN_PAIRS = 30;

/** What the first half of an extraction yields. */
export interface Extracted {
  readonly vector: PersonaVector;
  readonly counts: FilterCounts;
}

/**
 * Rollouts under both poles, judge, paired filter and difference of means: leaves `rollouts.jsonl`,
 * `activations.safetensors` and `vector.safetensors` (still without a recommendation) in the run folder.
 *
 * @throws DataError when the filter keeps fewer than 30 pairs and the run is not forced, or none.
 */
export async function extractVectorStep(context: ExtractContext): Promise<Extracted> {
  const { settings, folder } = context;
  const { trait, model, samples, threshold } = settings;
  const plan = planExtraction(systemTexts(model.checkpoint, trait), trait.questions, samples);
  const paths = { rows: folder.file('rollouts'), activations: folder.file('activations') };
  const rollouts = await runStep(context, 'rollouts', async () => {
    const value = await runRollouts(context, 'rollouts', plan, paths);
    return { value, reused: value.reused };
  });
  try {
    const places = new Map(plan.map(({ key }, index) => [key, index]));
    const filter = filterPairs(scorePairs(plan, places, rollouts), threshold);
    requirePairs(filter.counts, settings.force, threshold);
    const vector = await runStep(context, 'vector', () => writeVector(context, filter, places, rollouts));
    return { vector, counts: filter.counts };
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

/** Pairs by what their keys have in common, never by their order. */
function scorePairs(
  plan: readonly PlannedRollout[],
  places: ReadonlyMap<string, number>,
  { rows }: StepRollouts,
): Parameters<typeof filterPairs>[0] {
  const keys = plan.filter(({ ids }) => ids['pole'] === 'pos').map(({ key }) => key.slice('pos/'.length));
  const scores = (key: string): StepRollouts['rows'][number]['scores'] | undefined =>
    rows[places.get(key) ?? -1]?.scores;
  return keys.map((key) => ({ key, positive: scores(`pos/${key}`), negative: scores(`neg/${key}`) }));
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
    const pairs = filter.kept.map((key) => ({
      positive: places.get(`pos/${key}`)!,
      negative: places.get(`neg/${key}`)!,
    }));
    const { layers, width } = settings.model.checkpoint.config;
    const rows = pairs.flatMap(({ positive, negative }) => [positive, negative]);
    const norms = await meanNorms(rows, settings.pooling, width, rollouts.record);
    const tensors = await differenceOfMeans(pairs, settings.capture, rollouts.record);
    await writeVectorFile(path, {
      layers,
      width,
      tensors,
      metadata: metadataOf(settings, filter.counts, norms),
    });
  }
  return { value: await PersonaVector.load(path), reused };
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
    threshold: settings.threshold,
    residualNorms,
    recommendedLayer: null,
    recommendedStrength: null,
  };
}

function requirePairs(counts: FilterCounts, force: boolean, threshold: number): void {
  if (counts.kept >= (force ? 1 : MIN_PAIRS)) return;
  const reasons = dropReasons
    .filter((reason) => counts.dropped[reason] > 0)
    .map((reason) => `${counts.dropped[reason]} ${reason.replaceAll('_', ' ')}`)
    .join(', ');
  const advice =
    counts.kept === 0
      ? 'the instructions do not bring the trait out in this model, so change them, the model or the threshold'
      : 'sample more, change the instructions, or force the run';
  throw new DataError(
    `Expected the filter to keep at least ${force ? 1 : MIN_PAIRS} of ${counts.pairs} pairs at threshold ${threshold}, got ${counts.kept} (dropped: ${reasons}); ${advice}.`,
    { details: { kept: counts.kept, pairs: counts.pairs } },
  );
}
