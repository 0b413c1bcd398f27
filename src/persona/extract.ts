import { packageInfo } from '../store/package-info.ts';
import type { Artifact, Manifest } from '../store/manifest.ts';
import type { Directions, DoseResponse, Sweep } from '../store/result-schema.ts';
import { type RunFile, openRun } from '../store/run-folder.ts';
import { type ExtractContext, openContext, runStep } from './extract-context.ts';
import { type ExtractOptions, settle } from './extract-options.ts';
import { recipeOf } from './extract-recipe.ts';
import { type FilterCounts, dropReasons } from './filter.ts';
import { type ReportData, renderReport } from './report.ts';
import { describeFiles, measuredCounts, measuredFiles, originOf } from './result-manifest.ts';
import { type Validation, validationSteps } from './validation-steps.ts';
import { extractVectorStep, recommendVector } from './vector-step.ts';
import type { PersonaVector } from './vector.ts';

/** A finished extraction. */
export interface ExtractResult {
  /** Absolute path of the run folder. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** Of the chosen pooling, with the recommended layer and strength in its metadata. */
  readonly vector: PersonaVector;
  readonly counts: FilterCounts;
  /** Null where none were asked for. */
  readonly directions: Directions | null;
  /** Null where it was left out, or the trait has too few evaluation questions. */
  readonly sweep: Sweep | null;
  readonly doseResponse: DoseResponse | null;
  /** Sweep, dose response and held-out projections, with the texts behind them. */
  readonly validation: Validation;
  /** Absolute path of `report.html`. */
  readonly report: string;
}

/**
 * Extracts a trait's vector and measures whether it steers: rollouts under both poles, judge, paired filter, difference
 * of means at every layer, layer × strength sweep, dose response against random directions, report.
 *
 * Every step reads what the one before left in the run folder, so a run that was killed or stopped goes on where it was
 * and ends in the same files, byte for byte; only times differ.
 *
 * @throws UsageError for options that cannot be; StoreError when the folder holds another run, is in use or full;
 *   DataError when the filter keeps too few pairs; AbortError when stopped by `signal`.
 */
export async function extract(options: ExtractOptions): Promise<ExtractResult> {
  const settings = await settle(options);
  const folder = await openRun(options.out, recipeOf(settings), options.files);
  try {
    return await runSteps(openContext(settings, folder, options));
  } finally {
    await folder.close();
  }
}

async function runSteps(context: ExtractContext): Promise<ExtractResult> {
  const { folder, settings } = context;
  await folder.writeJson('trait', { name: settings.trait.name, ...settings.trait.source });
  const { vector: bare, counts, directions } = await extractVectorStep(context);
  const validation = await validationSteps(context, bare);
  const vector = await recommendVector(folder.file('vector'), validation.sweep?.recommended ?? null);
  const data: ReportData = {
    trait: settings.trait,
    vector,
    counts,
    directions,
    validation,
    beside: [],
    cosines: null,
    judge: settings.judge.id,
    recipe: recipeOf(settings),
    package: await packageInfo(),
  };
  const manifest = folder.manifest ?? (await finish(context, data));
  return {
    folder: folder.path,
    manifest,
    vector,
    counts,
    directions: data.directions,
    validation,
    sweep: validation.sweep,
    doseResponse: validation.dose,
    report: folder.file('report'),
  };
}

/** Report and, last of all, the manifest, which says that the run is finished. */
async function finish(context: ExtractContext, data: ReportData): Promise<Manifest> {
  const { folder } = context;
  await runStep(context, 'report', async () => {
    await folder.writeText('report', renderReport(data));
    return { value: null, reused: false };
  });
  const manifest: Manifest = {
    ...originOf(context, data.package),
    kind: 'extract',
    recipe: { ...data.recipe },
    counts: countsOf(data),
    seconds: context.seconds,
    artifacts: await describeArtifacts(context, data),
  };
  await folder.writeJson('manifest', manifest);
  return manifest;
}

function countsOf({ counts, validation }: ReportData): Record<string, number> {
  return {
    rollouts: counts.poles.pos.sampled + counts.poles.neg.sampled,
    pairs: counts.pairs,
    pairs_kept: counts.kept,
    positive_kept: counts.poles.pos.kept,
    negative_kept: counts.poles.neg.kept,
    without_trait_score: counts.poles.pos.withoutTrait + counts.poles.neg.withoutTrait,
    without_coherence: counts.poles.pos.withoutCoherence + counts.poles.neg.withoutCoherence,
    ...Object.fromEntries(dropReasons.map((reason) => [`dropped_${reason}`, counts.dropped[reason]])),
    ...measuredCounts(validation),
  };
}

async function describeArtifacts(
  { folder }: ExtractContext,
  data: ReportData,
): Promise<Record<string, Artifact>> {
  const always: RunFile[] = ['recipe', 'trait', 'rollouts', 'activations', 'vector', 'report'];
  const beside: RunFile[] = data.directions === null ? [] : ['directions'];
  return describeFiles(folder, [...always, ...beside, ...(await measuredFiles(folder, data.validation))]);
}
