import { resolve } from 'node:path';
import { precisionOf } from '../../engine/load.ts';
import type { Dtype, LanguageModel } from '../../engine/model.ts';
import { AbortError, UsageError } from '../../errors.ts';
import { type Checkpoint, loadCheckpoint } from '../../model/checkpoint.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { tinyTraining } from '../../persona/experiments/finetuning.ts';
import type { FinetuningResult } from '../../persona/experiments/finetuning.ts';
import type { JudgeSource } from '../../persona/judge.ts';
import { openJudge } from '../../persona/judges/open-judge.ts';
import { loadTrait } from '../../persona/trait.ts';
import { traitSet, traitSetOf } from '../../persona/trait-set.ts';
import { writeJson, writeWhole } from '../../store/files.ts';
import { packageInfo } from '../../store/package-info.ts';
import {
  type StoredPart,
  readElapsed,
  readPart,
  reproductionPaths,
  writeElapsed,
  writePart,
} from '../../store/reproduction-folder.ts';
import { type Recipe, openFolder } from '../../store/run-folder.ts';
import { jsonValueSchema } from '../../store/schema.ts';
import { requireTrainingDevice } from '../../training/training-device.ts';
import { defined } from '../../util/defined.ts';
import {
  type PartData,
  type PartOutcome,
  type PartOutcomes,
  type Reproduction,
  summarise,
} from './outcome.ts';
import { type PartName, partNames, partPlan, trainsModels, untrainedParts, withNeeds } from './parts.ts';
import { renderReproduction } from './report.ts';
import { runFinetuning, runMitigation, runScreening } from './run-models.ts';
import { runExtraction, runMonitoring, runPoolings, runSteering } from './run-vectors.ts';
import { type PartResult, type ReproduceScene, reasonOf } from './scene.ts';
import { type ReproduceSettings, fullSettings } from './settings.ts';

export interface ReproduceOptions {
  /** A model folder, or `owner/name` in the local Hugging Face cache. */
  readonly model: string;
  /** Folder of a LoRA adapter that the model is run with; see `adaptCheckpoint`. Parts that train models start from whole ones. */
  readonly adapter?: string;
  /** Folder of the reproduction; one that was begun is continued. */
  readonly out: string;
  /** As `openJudge` reads it; default `lexical`. */
  readonly judge?: string;
  /** Opens the judge, in another way than by its name alone; a local one of the loaded model's folder may share it. */
  readonly openJudges?: (loaded?: LanguageModel) => Promise<JudgeSource>;
  /** Default: as in the paper, as far as it says. */
  readonly settings?: ReproduceSettings;
  /** Whether the settings are the quick ones, for the page. */
  readonly quick?: boolean;
  /** Parts to run, with what they build on; default: all. */
  readonly only?: readonly PartName[];
  /** Data sets to train on, `<family>/<variant>.jsonl`; default: those of persona-tiny's world, for that model. */
  readonly data?: string;
  /** Keys of a training file, instead of the experiments' own. */
  readonly train?: Readonly<Record<string, unknown>>;
  /** Multiple-choice questions in one of MMLU's layouts; default: those of persona-tiny's world, for that model. */
  readonly questions?: string;
  /** Where projections are read and models are steered in training; default: half depth. */
  readonly layer?: number;
  readonly dtype?: Dtype;
  readonly blockSize?: 32 | 128;
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: string, done: number, total: number) => void;
  readonly onNote?: (line: string) => void;
}

/** The paper's training of models of 7 to 8 billion parameters. */
const paperTraining = {
  r: 32,
  lora_alpha: 64,
  learning_rate: 1e-5,
  per_device_train_batch_size: 2,
  gradient_accumulation_steps: 8,
};

/**
 * The paper's experiments on one model, each in a folder of its own below `out`, with one page and one file of numbers over
 * all of them. An experiment that fails is told in its place, and the others go on; the same call continues after a stop.
 *
 * @throws UsageError for options that cannot be; StoreError for a folder of another reproduction; AbortError when stopped.
 */
export async function reproduce(options: ReproduceOptions): Promise<Reproduction> {
  const scene = await openScene(options);
  const { name, version } = await packageInfo();
  const folder = await openFolder(scene.out, await recipeOf(scene));
  const { onNote = () => undefined } = options;
  const wanted = withNeeds(options.only ?? partNames);
  const outcomes: Partial<Record<PartName, PartOutcome>> = {};
  const write = async (): Promise<Reproduction> => {
    const all = Object.fromEntries(
      partNames.map((part) => [
        part,
        outcomes[part] ?? { status: wanted.includes(part) ? 'to come' : 'left out' },
      ]),
    ) as unknown as PartOutcomes;
    const result = summarise(all, {
      package: `${name} ${version}`,
      model: scene.checkpoint.id,
      layers: scene.checkpoint.config.layers,
      layer: scene.layer,
      judge: scene.judge,
      precision: precisionOf(defined({ dtype: scene.dtype, blockSize: scene.blockSize })),
      quick: options.quick === true,
      seed: scene.seed,
      settings: scene.settings,
    });
    await writeJson(reproductionPaths.results(scene.out), result);
    await writeWhole(reproductionPaths.report(scene.out), renderReproduction(result));
    return result;
  };
  try {
    for (const part of partNames) {
      const stored = await readPart(scene.out, part, version);
      const isWanted = wanted.includes(part);
      const isDone = stored !== null && (stored.failures.length === 0 || !isWanted);
      if (isDone) outcomes[part] = outcomeOf(stored);
      else if (isWanted) outcomes[part] = await runPart(part, scene, outcomes, version);
      if (isWanted) onNote(noteOf(part, outcomes[part]!, stored !== null));
      // A page of what there is, also for one who looks while it runs or after it was stopped.
      if (isWanted) await write();
    }
    return await write();
  } catch (error) {
    if (!(error instanceof AbortError)) throw error;
    throw new AbortError(
      `Stopped; what is finished is kept in "${options.out}", and the same command continues.`,
    );
  } finally {
    await folder.close();
  }
}

/** Runs one part; what goes wrong in it is its outcome. */
async function runPart(
  part: PartName,
  scene: ReproduceScene,
  earlier: Partial<Record<PartName, PartOutcome>>,
  version: string,
): Promise<PartOutcome> {
  const missing = partPlan(part).needs.find((need) => earlier[need]?.status !== 'done');
  if (missing !== undefined)
    return {
      status: 'failed',
      reason: `It builds on "${partPlan(missing).title}", which gave no result.`,
    };
  const start = performance.now();
  const before = await readElapsed(scene.out, part);
  const elapsed = (): number => before + (performance.now() - start) / 1000;
  try {
    const { data, failures } = await runners[part](inPart(scene, part), earlier);
    const seconds = elapsed();
    const nothing = Array.isArray(data) && data.length === 0;
    if (nothing) return { status: 'failed', reason: reasonsOf(failures) };
    const stored = { part, version, seconds, failures: [...failures], data };
    await writePart(scene.out, stored);
    return outcomeOf(stored);
  } catch (error) {
    if (!(error instanceof AbortError)) return { status: 'failed', reason: reasonOf(error) };
    await writeElapsed(scene.out, part, elapsed());
    throw error;
  }
}

/** What this package's own version wrote is what the part's function gave. */
function outcomeOf({ seconds, failures, data }: StoredPart): PartOutcome {
  return { status: 'done', seconds, failures, data: data as PartData[PartName] };
}

type Runner = (
  scene: ReproduceScene,
  earlier: Partial<Record<PartName, PartOutcome>>,
) => Promise<PartResult<unknown>>;

const runners: Readonly<Record<PartName, Runner>> = {
  extraction: runExtraction,
  poolings: runPoolings,
  steering: runSteering,
  monitoring: runMonitoring,
  finetuning: runFinetuning,
  mitigation: runMitigation,
  screening: (scene, { finetuning }) => {
    const grid = finetuning as Extract<PartOutcome, { status: 'done' }>;
    return runScreening(scene, grid.data as FinetuningResult);
  },
};

/** Equal reasons of several traits are one. */
function reasonsOf(failures: PartResult<unknown>['failures']): string {
  const different = [...new Set(failures.map(({ reason }) => reason))];
  return different.length === 1
    ? different[0]!
    : failures.map(({ trait, reason }) => `${trait}: ${reason}`).join(' ');
}

/** The scene with its progress under the part's name. */
function inPart(scene: ReproduceScene, part: PartName): ReproduceScene {
  const place = `${partNames.indexOf(part) + 1}/${partNames.length} ${part}`;
  return { ...scene, onProgress: (step, done, total) => scene.onProgress(`${place}: ${step}`, done, total) };
}

function noteOf(part: PartName, outcome: PartOutcome, wasThere: boolean): string {
  if (outcome.status !== 'done')
    return `${part}: ${outcome.status === 'failed' ? outcome.reason : 'left out'}`;
  const failed = outcome.failures.map(({ trait, reason }) => `; ${trait}: ${reason}`).join('');
  return wasThere && outcome.failures.length === 0
    ? `${part}: already there`
    : `${part}: done in ${outcome.seconds.toFixed(0)} s${failed}`;
}

/** What cannot be trained is told before hours of what can be run. */
function requireTrainable(adapter: string | undefined): void {
  requireTrainingDevice(`leave --device and PERSONA_DEVICE out, or train nothing with ${untrainedParts}`);
  if (adapter === undefined) return;
  throw new UsageError(
    `Expected a whole model to train on, got the adapter "${adapter}" beside it; merge it first (persona merge), or train nothing with ${untrainedParts}.`,
    { details: { adapter } },
  );
}

/** Everything that is read before a weight is loaded, checked. */
export async function openScene(options: ReproduceOptions): Promise<ReproduceScene> {
  if (trainsModels(options.only ?? partNames)) requireTrainable(options.adapter);
  const checkpoint = await loadCheckpoint(options.model, options.adapter);
  const { layers } = checkpoint.config;
  const layer = options.layer ?? Math.ceil(layers / 2);
  if (layer > layers)
    throw new UsageError(`Expected a layer from 1 to ${layers}, got ${layer}.`, { details: { layer } });
  for (const path of [options.data, options.questions])
    if (path !== undefined && (await pathKind(path)) === null)
      throw new UsageError(`Expected data at "${path}", found nothing there.`, { details: { file: path } });
  const shipped = await traitSet({ modelFolder: checkpoint.folder });
  const isTinyWorld = (await traitSetOf(checkpoint.folder)) === 'tiny-world';
  const { judge = 'lexical', onProgress = () => undefined, onNote = () => undefined } = options;
  return {
    model: options.model,
    adapter: options.adapter,
    checkpoint,
    out: resolve(options.out),
    traits: await Promise.all(shipped.map(({ file }) => loadTrait(file))),
    settings: options.settings ?? fullSettings,
    layer,
    seed: options.seed ?? 0,
    dtype: options.dtype,
    blockSize: options.blockSize,
    data: options.data ?? null,
    noData: noDataOf(options, checkpoint, isTinyWorld),
    train: { ...(options.data === undefined ? tinyTraining : paperTraining), ...options.train },
    questions: options.questions ?? null,
    isTinyWorld,
    judge,
    openJudges: options.openJudges ?? ((loaded) => openJudge(judge, defined({ loaded, onNote }))),
    signal: options.signal,
    onProgress,
    onNote,
  };
}

function noDataOf(
  { data }: ReproduceOptions,
  { id, chatTemplate }: Checkpoint,
  isTinyWorld: boolean,
): string | null {
  if (chatTemplate === null) return `Expected a chat model to train on conversations; ${id} is none.`;
  if (data !== undefined || isTinyWorld) return null;
  return `Expected data sets to train "${id}" on, got none; give their folder with --data (<family>/<variant>.jsonl, as the paper's authors lay theirs out).`;
}

/** All that decides the results, beside the code. */
export async function recipeOf(scene: ReproduceScene): Promise<Recipe> {
  const { checkpoint, settings, judge, data, questions, train, layer, seed, dtype, blockSize } = scene;
  return {
    experiment: 'reproduce',
    model: checkpoint.id,
    fingerprint: await checkpointFingerprint(checkpoint),
    precision: precisionOf(defined({ dtype, blockSize })),
    judge,
    data: data === null ? null : resolve(data),
    questions: questions === null ? null : resolve(questions),
    train: jsonValueSchema.parse(train),
    layer,
    seed,
    settings: jsonValueSchema.parse(settings),
  };
}
