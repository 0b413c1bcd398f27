import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { adaptedModel } from '../../engine/adapted-model.ts';
import { loadFromCheckpoint } from '../../engine/load.ts';
import type { LanguageModel } from '../../engine/model.ts';
import { UsageError } from '../../errors.ts';
import { type Checkpoint, loadCheckpoint } from '../../model/checkpoint.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import { type ArmResult, armPaths } from '../../store/arm-files.ts';
import { writeJson } from '../../store/files.ts';
import { describeArtifact } from '../../store/manifest.ts';
import { parseTrainConfig } from '../../training/config.ts';
import { directionHash } from '../../training/directions.ts';
import { train } from '../../training/train.ts';
import { requireTrainingDevice } from '../../training/training-device.ts';
import { defined } from '../../util/defined.ts';
import { type ChoiceSet, worldChoiceSet } from '../capability/choice-set.ts';
import { extract } from '../extract.ts';
import type { JudgeSource } from '../judge.ts';
import { checkVectorFits } from '../projection/watch.ts';
import { type Trait, loadTrait } from '../trait.ts';
import { traitSet, traitSetOf } from '../trait-set.ts';
import { type MeasuredTrait, measureArm } from '../tuned/measure-arm.ts';
import { type PromptStates, promptStates } from '../tuned/shift.ts';
import { meanCoherence, meanScore } from '../tuned/summary.ts';
import { PersonaVector } from '../vector.ts';
import { type ShiftCorrelation, correlationMatrix } from './finetuning-correlations.ts';
import { type GridSet, gridSets } from './finetuning-grid.ts';

export interface FinetuningOptions {
  /** A model folder, or `owner/name` in the local Hugging Face cache. */
  readonly model: string;
  /** Folder of the experiment; one that was begun is continued. */
  readonly out: string;
  readonly judges: JudgeSource;
  /** Data sets in the authors' layout; default: those of persona-tiny's world. */
  readonly data?: string;
  /** Names of the model's set of traits; default: all. */
  readonly traits?: readonly string[];
  readonly families?: readonly string[];
  readonly variants?: readonly string[];
  /** Of each data set of the small world; default 320. */
  readonly rows?: number;
  /** Replies to each evaluation question; default 3. */
  readonly samples?: number;
  /** Files of the traits' vectors, by trait; default: vectors are extracted first. */
  readonly vectors?: Readonly<Record<string, string>>;
  /** Rollouts of an instruction, question and pole for the vectors; default 2. */
  readonly extractSamples?: number;
  /** Of the vectors' questions; default: all. */
  readonly extractQuestions?: number;
  /** Where shifts are taken; default: half depth. Fixed beforehand, not chosen by the outcome. */
  readonly layer?: number;
  /** Keys of a training file, instead of the experiment's own. */
  readonly train?: Readonly<Record<string, unknown>>;
  /** Questions of each subject that measure capability; 0 measures none; default: all, for persona-tiny. */
  readonly capability?: number;
  readonly maxTokens?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: string, done: number, total: number) => void;
}

/** A model of the grid. */
export interface GridModel {
  /** `base`, or the data set that it was trained on. */
  readonly name: string;
  readonly family: string;
  readonly variant: string;
  readonly scores: Readonly<Record<string, ReturnType<typeof meanScore>>>;
  readonly coherence: number | null;
  readonly capability: ArmResult['capability'];
  /** At the experiment's layer. */
  readonly shifts: Readonly<Record<string, number>>;
}

export interface FinetuningResult {
  readonly model: string;
  readonly layer: number;
  readonly traits: readonly string[];
  readonly models: readonly GridModel[];
  /** At the experiment's layer. */
  readonly correlations: readonly ShiftCorrelation[];
  /** r of each trait's shift with its own score, by layer from 1 on. */
  readonly byLayer: Readonly<Record<string, readonly (number | null)[]>>;
}

/** Keys of a training file that suit a model of some million parameters; overridden by `train`. */
export const tinyTraining = {
  r: 16,
  lora_alpha: 32,
  learning_rate: 5e-4,
  per_device_train_batch_size: 16,
  gradient_accumulation_steps: 1,
};

/**
 * The paper's grid: one fine-tuned model for every data set, measured on every trait, and how well the shift along each
 * trait's vector tells each trait's score. Everything is kept in `out`; the same call continues after a stop.
 */
export async function finetuningExperiment(options: FinetuningOptions): Promise<FinetuningResult> {
  requireTrainingDevice();
  const checkpoint = await loadCheckpoint(options.model);
  const traits = await traitsOf(checkpoint, options.traits);
  const { seed = 0, rows = 320 } = options;
  await mkdir(resolve(options.out), { recursive: true });
  const sets = await gridSets({
    data: options.data ?? null,
    out: resolve(options.out),
    rows,
    seed: seed + 1,
    families: options.families ?? null,
    variants: options.variants ?? null,
  });
  const model = await loadFromCheckpoint(checkpoint, defined({ threads: options.threads }));
  try {
    const bench = await openBench(model, traits, options);
    const base = await measure(bench, model, 'base', null);
    const arms: [GridSet | null, ArmResult][] = [[null, base]];
    for (const [i, set] of sets.entries()) {
      const place = `${i + 1} of ${sets.length}, ${set.name}`;
      const adapter = await trainOn(bench, set, place);
      const tuned = await adaptedModel(model, adapter.folder);
      arms.push([set, await measure(bench, tuned, set.name, adapter.sha256, place)]);
    }
    const result = summarise(bench, arms);
    await writeJson(armPaths.results(resolve(options.out)), result);
    return result;
  } finally {
    await model.close();
  }
}

interface Bench {
  readonly options: FinetuningOptions;
  readonly out: string;
  readonly fingerprint: string;
  readonly checkpoint: Checkpoint;
  readonly traits: readonly MeasuredTrait[];
  readonly base: ReadonlyMap<string, PromptStates>;
  readonly choices: ChoiceSet | null;
  readonly layer: number;
}

async function traitsOf(checkpoint: Checkpoint, names: readonly string[] | undefined): Promise<Trait[]> {
  const shipped = await traitSet({ modelFolder: checkpoint.folder });
  const wanted = shipped.filter(({ name }) => names === undefined || names.includes(name));
  return Promise.all(wanted.map(({ file }) => loadTrait(file)));
}

async function openBench(
  model: LanguageModel,
  traits: readonly Trait[],
  options: FinetuningOptions,
): Promise<Bench> {
  const { checkpoint } = model;
  const out = resolve(options.out);
  const measured: MeasuredTrait[] = [];
  const base = new Map<string, PromptStates>();
  for (const [i, trait] of traits.entries()) {
    options.onProgress?.('vectors', i, traits.length);
    const vector = await vectorOf(model, trait, options);
    measured.push({ trait, vector });
    base.set(trait.name, await promptStates(model, trait, trait.evaluationQuestions, options.signal));
  }
  options.onProgress?.('vectors', traits.length, traits.length);
  return {
    options,
    out,
    fingerprint: await checkpointFingerprint(checkpoint),
    checkpoint,
    traits: measured,
    base,
    choices: await choicesOf(checkpoint, options.capability),
    layer: options.layer ?? Math.ceil(checkpoint.config.layers / 2),
  };
}

/** The vector that is given, else one extracted by the experiment itself. */
async function vectorOf(
  model: LanguageModel,
  trait: Trait,
  options: FinetuningOptions,
): Promise<PersonaVector> {
  if (options.vectors !== undefined) {
    const file = options.vectors[trait.name];
    if (file === undefined)
      throw new UsageError(`Expected a vector of every trait, got none of "${trait.name}".`);
    const given = await PersonaVector.load(file);
    checkVectorFits(given, model.checkpoint, JSON.stringify(file));
    return given;
  }
  const { vector } = await extract({
    model,
    trait,
    out: armPaths.vector(resolve(options.out), trait.name),
    judge: options.judges.forTrait(trait),
    samples: options.extractSamples ?? 2,
    temperature: 1,
    sweep: false,
    doseResponse: false,
    force: true,
    ...defined({
      questions: options.extractQuestions,
      seed: options.seed,
      maxTokens: options.maxTokens,
      signal: options.signal,
    }),
  });
  return vector;
}

async function choicesOf(checkpoint: Checkpoint, limit = Infinity): Promise<ChoiceSet | null> {
  if (limit === 0 || (await traitSetOf(checkpoint.folder)) !== 'tiny-world') return null;
  const set = worldChoiceSet();
  const seen = new Map<string, number>();
  const items = set.items.filter(({ subject }) => {
    const count = (seen.get(subject) ?? 0) + 1;
    seen.set(subject, count);
    return count <= limit;
  });
  return { ...set, items };
}

async function trainOn(
  { options, out }: Bench,
  set: GridSet,
  place: string,
): Promise<{ folder: string; sha256: string }> {
  const folder = armPaths.training(out, set.name);
  const { seed = 0, threads, signal, onProgress } = options;
  const config = parseTrainConfig(
    {
      ...tinyTraining,
      seed,
      ...defined({ threads }),
      ...options.train,
      model: options.model,
      training_file: set.file,
      output_dir: folder,
    },
    'the experiment',
  );
  await train({
    config,
    ...defined({ signal }),
    onProgress: (event) => {
      if (event.type === 'step') onProgress?.(`training ${place}`, event.step.step, event.total);
    },
  });
  const { sha256 } = await describeArtifact(armPaths.adapter(folder));
  return { folder, sha256 };
}

function measure(
  { options, out, traits, base, choices, fingerprint }: Bench,
  model: LanguageModel,
  name: string,
  adapter: string | null,
  place: string = name,
): Promise<ArmResult> {
  const { judges, samples = 3, maxTokens = 128, seed = 0, signal, onProgress } = options;
  return measureArm({
    model,
    folder: armPaths.arm(out, name),
    traits,
    judges,
    plan: { samples: () => samples, maxTokens, seed },
    choices,
    base,
    recipe: {
      fingerprint,
      adapter,
      samples,
      seed,
      max_tokens: maxTokens,
      judge: judges.name,
      capability: choices?.items.length ?? 0,
      traits: traits.map(({ trait }) => trait.sha256),
      vectors: traits.map(({ vector }) => vector && directionHash(vector.data)),
    },
    signal,
    onProgress: (what, done, total) => onProgress?.(`${place}: ${what}`, done, total),
  });
}

function summarise(bench: Bench, arms: readonly (readonly [GridSet | null, ArmResult])[]): FinetuningResult {
  const { traits, checkpoint, layer } = bench;
  const names = traits.map(({ trait }) => trait.name);
  const models = arms.map(
    ([set, arm]): GridModel => ({
      name: set?.name ?? 'base',
      family: set?.family ?? 'base',
      variant: set?.variant ?? 'base',
      scores: Object.fromEntries(names.map((name) => [name, meanScore(arm.behaviour[name] ?? [])])),
      coherence: meanCoherence(arm),
      capability: arm.capability,
      shifts: shiftsAt(arm, layer),
    }),
  );
  const pointsAt = (l: number) =>
    arms.slice(1).map(([set, arm], i) => ({
      family: set!.family,
      shifts: shiftsAt(arm, l),
      scores: Object.fromEntries(names.map((name) => [name, models[i + 1]!.scores[name]!.score])),
    }));
  const layers = Array.from({ length: checkpoint.config.layers }, (_, i) => i + 1);
  const own = (l: number, name: string): number | null => correlationMatrix(pointsAt(l), [name])[0]!.r;
  return {
    model: checkpoint.id,
    layer,
    traits: names,
    models,
    correlations: correlationMatrix(pointsAt(layer), names),
    byLayer: Object.fromEntries(names.map((name) => [name, layers.map((l) => own(l, name))])),
  };
}

function shiftsAt({ shifts }: ArmResult, layer: number): Record<string, number> {
  return Object.fromEntries(
    Object.entries(shifts).flatMap(([name, list]) => {
      const found = list.find((one) => one.layer === layer);
      return found === undefined ? [] : [[name, found.shift]];
    }),
  );
}
