import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  type FinetuningOptions,
  type FinetuningResult,
  finetuningExperiment,
} from '../../persona/experiments/finetuning.ts';
import { gridSets } from '../../persona/experiments/finetuning-grid.ts';
import { pearson } from '../../persona/statistics.ts';
import type { MeanScore } from '../../persona/tuned/summary.ts';
import { armPaths } from '../../store/arm-files.ts';
import { storeFailure, writeJson } from '../../store/files.ts';
import { extremeFile, screenFiles } from '../../store/screen-folder.ts';
import { defined } from '../../util/defined.ts';
import { screen } from './screen.ts';
import type { SampleMode } from './score.ts';

export interface ScreeningExperimentOptions extends FinetuningOptions {
  /** Samples of each subset that is trained on; default: `rows`. */
  readonly subset?: number;
  /** How the data sets are screened; default `full`. */
  readonly mode?: SampleMode;
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
  const { mode = 'full', rows = 320, subset = rows, seed = 0, signal, onProgress } = options;
  const out = resolve(options.out);
  const grid = await finetuningExperiment({ ...options, out });
  const { layer, traits } = grid;
  const { data = null, families = null, variants = null } = options;
  const sets = await gridSets({ data, out, rows, seed: seed + 1, families, variants });
  const { manifest } = await screen({
    model: options.model,
    data: sets.map(({ file }) => file),
    vectors: traits.map((trait) => armPaths.vector(out, trait)),
    layer,
    out: join(out, 'screened'),
    mode,
    extremes: subset,
    seed,
    signal,
    onProgress: (step, done) => onProgress?.(step, done, Infinity),
    ...defined({ maxTokens: options.maxTokens }),
  });
  const subsets = await finetuningExperiment({
    ...options,
    out,
    data: await layOutSubsets(out, traits),
    families: traits,
    variants: subsetNames,
    capability: 0,
  });
  const score = ({ models }: FinetuningResult, model: string, trait: string): MeanScore =>
    models.find((one) => one.name === model)!.scores[trait]!;
  const result: ScreeningExperimentResult = {
    model: grid.model,
    mode,
    layer,
    subset,
    traits: traits.map((name, t): ScreenedTraitResult => {
      const points = sets.map(({ name: set, family, file }): ScreenedSet => {
        const { difference } = manifest.traits[t]!.sources.find(({ source }) => source === file)!;
        return { set, family, difference: difference.mean!, score: score(grid, set, name).score };
      });
      const after = (one: SubsetName): MeanScore => score(subsets, `${name}-${one}`, name);
      return {
        name,
        base: score(grid, 'base', name),
        subsets: { high: after('high'), random: after('random'), low: after('low') },
        sets: points,
        r: correlation(points),
        others: correlation(points.filter(({ family }) => family !== name)),
      };
    }),
  };
  await writeJson(join(out, 'screening.json'), result);
  return result;
}

function correlation(points: readonly ScreenedSet[]): number | null {
  const scored = points.filter(({ score }) => score !== null);
  return pearson(
    scored.map(({ difference }) => difference),
    scored.map(({ score }) => score!),
  );
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
