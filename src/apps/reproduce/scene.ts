import { join } from 'node:path';
import { loadFromCheckpoint } from '../../engine/load.ts';
import type { Dtype, LanguageModel } from '../../engine/model.ts';
import { AbortError, UsageError } from '../../errors.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import type { JudgeProvider, JudgeSource } from '../../persona/judge.ts';
import type { Trait } from '../../persona/trait.ts';
import { PersonaVector } from '../../persona/vector.ts';
import { isThere } from '../../store/files.ts';
import { reproductionPaths } from '../../store/reproduction-folder.ts';
import { runFiles } from '../../store/run-folder.ts';
import { defined } from '../../util/defined.ts';
import { runFolderName } from '../extract-all.ts';
import type { PartName } from './parts.ts';
import { type ReproduceSettings, chosenTraits } from './settings.ts';

/** What all experiments of a reproduction share. */
export interface ReproduceScene {
  /** As it was named. */
  readonly model: string;
  readonly adapter: string | undefined;
  readonly checkpoint: Checkpoint;
  /** Absolute. */
  readonly out: string;
  /** All of the model's set. */
  readonly traits: readonly Trait[];
  readonly settings: ReproduceSettings;
  /** Where projections are read and models are steered in training: fixed before anything is measured. */
  readonly layer: number;
  readonly seed: number;
  readonly dtype: Dtype | undefined;
  readonly blockSize: 32 | 128 | undefined;
  /** Data sets to train on, in the authors' layout; null for those of persona-tiny's world. */
  readonly data: string | null;
  /** Why there are none; null where there are. */
  readonly noData: string | null;
  /** Keys of a training file. */
  readonly train: Readonly<Record<string, unknown>>;
  /** Multiple-choice questions; null for those of persona-tiny's world, where the model speaks of it. */
  readonly questions: string | null;
  readonly isTinyWorld: boolean;
  /** The judge's name. */
  readonly judge: string;
  /** Opens the judge; a local one of the loaded model's folder shares it. */
  readonly openJudges: (loaded?: LanguageModel) => Promise<JudgeSource>;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (step: string, done: number, total: number) => void;
  readonly onNote: (line: string) => void;
}

/** A trait without a result. */
export interface TraitFailure {
  readonly trait: string;
  readonly reason: string;
}

/** What an experiment gave that goes trait by trait. */
export interface PartResult<T> {
  readonly data: T;
  readonly failures: readonly TraitFailure[];
}

/** A trait with its vector and judge. */
export interface TraitPlace {
  readonly trait: Trait;
  readonly vector: PersonaVector;
  readonly file: string;
  /** The layer that steering chose, else the scene's. */
  readonly steeringLayer: number;
  readonly judge: JudgeProvider;
}

/** Loads the model and opens the judge for as long as `work` takes. */
export async function withModel<T>(
  { checkpoint, dtype, blockSize, openJudges, onNote }: ReproduceScene,
  work: (model: LanguageModel, judges: JudgeSource) => Promise<T>,
): Promise<T> {
  const model = await loadFromCheckpoint(checkpoint, defined({ dtype, blockSize, onNotice: onNote }));
  try {
    const judges = await openJudges(model);
    try {
      return await work(model, judges);
    } finally {
      await judges.close();
    }
  } finally {
    await model.close();
  }
}

/** Opens the judge for as long as `work` takes. */
export async function withJudges<T>(
  { openJudges }: ReproduceScene,
  work: (judges: JudgeSource) => Promise<T>,
): Promise<T> {
  const judges = await openJudges();
  try {
    return await work(judges);
  } finally {
    await judges.close();
  }
}

/** Runs `work` for every trait; one that fails is kept with its reason, and the others go on. */
export async function eachTrait<T>(
  traits: readonly Trait[],
  work: (trait: Trait) => Promise<T>,
): Promise<PartResult<T[]>> {
  const data: T[] = [];
  const failures: TraitFailure[] = [];
  for (const trait of traits) {
    try {
      data.push(await work(trait));
    } catch (error) {
      if (error instanceof AbortError) throw error;
      failures.push({ trait: trait.name, reason: reasonOf(error) });
    }
  }
  return { data, failures };
}

/** As a sentence. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The traits of a part, out of those that are extracted. */
export function traitsOf({ settings, traits }: ReproduceScene, part: PartName): Trait[] {
  const extracted = chosenTraits(
    settings.extraction.traits,
    traits.map(({ name }) => name),
  );
  const chosen = part === 'extraction' ? extracted : chosenTraits(settings[part].traits, extracted);
  return traits.filter(({ name }) => chosen.includes(name));
}

/** File of the vector that the extraction left. */
export function vectorFile({ out }: Pick<ReproduceScene, 'out'>, trait: string): string {
  return join(reproductionPaths.trait(out, 'extraction', runFolderName(trait)), runFiles.vector);
}

/** A trait with the vector that the extraction left. */
export async function placeOf(scene: ReproduceScene, trait: Trait, judges: JudgeSource): Promise<TraitPlace> {
  const file = vectorFile(scene, trait.name);
  if (!(await isThere(file)))
    throw new UsageError(`The extraction gave no ${trait.name} vector, which this builds on.`);
  const vector = await PersonaVector.load(file);
  const steeringLayer = vector.metadata.recommendedLayer ?? scene.layer;
  return { trait, vector, file, steeringLayer, judge: judges.forTrait(trait) };
}

/** UsageError where there is nothing to train on. */
export function requireData({ noData }: ReproduceScene): void {
  if (noData !== null) throw new UsageError(noData);
}
