import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { mean } from 'simple-statistics';
import {
  type FinetuningOptions,
  type FinetuningResult,
  finetuningExperiment,
} from '../../persona/experiments/finetuning.ts';
import { type GridSet, gridSets } from '../../persona/experiments/finetuning-grid.ts';
import type { MeanScore } from '../../persona/tuned/summary.ts';
import { armPaths } from '../../store/arm-files.ts';
import { storeFailure, writeJson } from '../../store/files.ts';
import { extremeFile, screenFiles } from '../../store/screen-folder.ts';
import type { ScreenManifest } from '../../store/screen-schema.ts';
import { requireTrainingDevice } from '../../training/training-device.ts';
import { defined } from '../../util/defined.ts';
import {
  type Foretold,
  type ModeForetold,
  type Projections,
  type Separation,
  foretold,
  readProjections,
  separations,
} from './estimates.ts';
import type { SampleMode } from './score.ts';
import { screen } from './screen.ts';

export interface ScreeningExperimentOptions extends FinetuningOptions {
  /** Samples of each subset that is trained on; default: `rows`. */
  readonly subset?: number;
  /** How the data sets are screened; default `full`. */
  readonly mode?: SampleMode;
  /** A finished grid of the same model, data sets and vectors, in the folder that it is kept in; default: one is trained. */
  readonly grid?: { readonly folder: string; readonly result: FinetuningResult };
}

/** The samples of all data sets that lie highest, at random, and lowest. */
export const subsetNames = ['high', 'random', 'low'] as const;
export type SubsetName = (typeof subsetNames)[number];

/** A data set: how far it lies from what the model says itself, and the trait after training on it. */
export interface ScreenedSet {
  readonly set: string;
  readonly family: string;
  readonly difference: number;
  /** 0–100; null where no reply was scored. */
  readonly score: number | null;
}

export interface ScreenedTraitResult {
  readonly name: string;
  readonly base: MeanScore;
  /** After training on each subset. */
  readonly subsets: Readonly<Record<SubsetName, MeanScore>>;
  readonly sets: readonly ScreenedSet[];
  /** Pearson's r of difference and score over the data sets; the second without the trait's own. */
  readonly r: number | null;
  readonly others: number | null;
  /** The same by each way of screening: the experiment's own, `prompt-last`, and `raw`. */
  readonly estimates: readonly ModeForetold[];
  /** r of the difference with the finetuning shift, at the grid's layer. */
  readonly shift: Foretold;
  readonly separations: readonly Separation[];
}

export interface ScreeningExperimentResult {
  readonly model: string;
  readonly mode: SampleMode;
  readonly layer: number;
  readonly subset: number;
  readonly traits: readonly ScreenedTraitResult[];
}

/**
 * Whether what screening says before training comes true: models are trained on every data set, all data sets are screened
 * as one, and models are trained on the highest, on random and on the lowest samples of each trait. Everything is kept in
 * `out`; the same call continues after a stop.
 */
export async function screeningExperiment(
  options: ScreeningExperimentOptions,
): Promise<ScreeningExperimentResult> {
  requireTrainingDevice();
  const { mode = 'full', rows = 320, subset = rows, seed = 0 } = options;
  const out = resolve(options.out);
  const grid = options.grid?.result ?? (await finetuningExperiment({ ...options, out }));
  const { layer } = grid;
  const traits = grid.traits.filter((name) => options.traits === undefined || options.traits.includes(name));
  const { data = null, families = null, variants = null } = options;
  const folder = resolve(options.grid?.folder ?? out);
  const sets = await gridSets({ data, out: folder, rows, seed: seed + 1, families, variants });
  const place = { options, out, sets, traits, layer, vectors: vectorFiles(traits, options, folder) };
  const screened = [{ mode, ...(await screenSets(place, mode, 'screened')) }];
  // Cheaper by a reply a prompt, and what the paper offers instead.
  if (mode !== 'prompt-last')
    screened.push({
      mode: 'prompt-last',
      ...(await screenSets(place, 'prompt-last', 'screened-prompt-last')),
    });
  const subsets = await finetuningExperiment({
    ...options,
    out,
    data: await layOutSubsets(out, traits),
    families: traits,
    variants: subsetNames,
    traits,
    capability: 0,
  });
  const projections = await readProjections(screened[0]!.folder, traits);
  const result: ScreeningExperimentResult = {
    model: grid.model,
    mode,
    layer,
    subset,
    traits: traits.map((name) => traitResult({ name, grid, subsets, sets, screened, projections })),
  };
  await writeJson(join(out, 'screening.json'), result);
  return result;
}

interface Place {
  readonly options: ScreeningExperimentOptions;
  readonly out: string;
  readonly sets: readonly GridSet[];
  readonly traits: readonly string[];
  readonly layer: number;
  readonly vectors: readonly string[];
}

function vectorFiles(
  traits: readonly string[],
  { vectors }: ScreeningExperimentOptions,
  folder: string,
): string[] {
  return traits.map((trait) => vectors?.[trait] ?? armPaths.vector(folder, trait));
}

interface Screened {
  readonly folder: string;
  readonly manifest: ScreenManifest;
}

function screenSets(
  { options, out, sets, layer, vectors }: Place,
  mode: SampleMode,
  name: string,
): Promise<Screened> {
  const { rows = 320, subset = rows, seed = 0, signal, onProgress } = options;
  return screen({
    model: options.model,
    data: sets.map(({ file }) => file),
    vectors,
    layer,
    out: join(out, name),
    mode,
    extremes: subset,
    seed,
    signal,
    onProgress: (step, done) => onProgress?.(`${step} (${mode})`, done, Infinity),
    ...defined({ maxTokens: options.maxTokens }),
  });
}

interface TraitScene {
  readonly name: string;
  readonly grid: FinetuningResult;
  readonly subsets: FinetuningResult;
  readonly sets: readonly GridSet[];
  readonly screened: readonly (Screened & { readonly mode: SampleMode })[];
  readonly projections: Projections;
}

function traitResult({ name, grid, subsets, sets, screened, projections }: TraitScene): ScreenedTraitResult {
  const modelOf = ({ models }: FinetuningResult, model: string) => models.find((one) => one.name === model)!;
  const score = (set: GridSet): number | null => modelOf(grid, set.name).scores[name]!.score;
  const difference = ({ manifest }: Screened, { file }: GridSet): number => {
    const { sources } = manifest.traits.find((trait) => trait.name === name)!;
    return sources.find(({ source }) => source === file)!.difference.mean!;
  };
  const points = (x: (set: GridSet) => number, y: (set: GridSet) => number | null) =>
    sets.map((set) => ({ family: set.family, x: x(set), y: y(set) }));
  const estimates: ModeForetold[] = screened.map((one) => ({
    mode: one.mode,
    ...foretold(
      points((set) => difference(one, set), score),
      name,
    ),
  }));
  if (!screened.some(({ mode }) => mode === 'raw'))
    estimates.push({
      mode: 'raw',
      ...foretold(
        points(({ file }) => mean([...projections.get(file)![name]!]), score),
        name,
      ),
    });
  const main = screened[0]!;
  const { r, others } = estimates[0]!;
  const after = (subset: SubsetName): MeanScore => modelOf(subsets, `${name}-${subset}`).scores[name]!;
  return {
    name,
    base: modelOf(grid, 'base').scores[name]!,
    subsets: { high: after('high'), random: after('random'), low: after('low') },
    sets: sets.map((set): ScreenedSet => {
      return { set: set.name, family: set.family, difference: difference(main, set), score: score(set) };
    }),
    r,
    others,
    estimates,
    shift: foretold(
      points(
        (set) => difference(main, set),
        (set) => modelOf(grid, set.name).shifts[name] ?? null,
      ),
      name,
    ),
    separations: separations(sets, projections, name),
  };
}

/** The subsets as data sets of their own, `<trait>/<subset>.jsonl`. */
async function layOutSubsets(out: string, traits: readonly string[]): Promise<string> {
  const folder = join(out, 'subsets');
  for (const trait of traits) {
    const from = {
      high: extremeFile('top', trait),
      random: screenFiles.random,
      low: extremeFile('bottom', trait),
    };
    for (const name of subsetNames) {
      const file = join(folder, trait, `${name}.jsonl`);
      try {
        await mkdir(dirname(file), { recursive: true });
        await copyFile(join(out, 'screened', from[name]), file);
      } catch (error) {
        throw storeFailure(file, error);
      }
    }
  }
  return folder;
}
