import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { adaptedModel } from '../../engine/adapted-model.ts';
import { loadFromCheckpoint } from '../../engine/load.ts';
import type { LanguageModel } from '../../engine/model.ts';
import { type Checkpoint, loadCheckpoint } from '../../model/checkpoint.ts';
import { openJudge } from '../../persona/judges/open-judge.ts';
import type { JudgeSource } from '../../persona/judge.ts';
import { systemTexts } from '../../persona/prompt.ts';
import { resolveSteering } from '../../persona/steering/resolve.ts';
import type { Trait } from '../../persona/trait.ts';
import { measureArm } from '../../persona/tuned/measure-arm.ts';
import { type PromptStates, promptStates } from '../../persona/tuned/shift.ts';
import { type ArmResult, armPaths } from '../../store/arm-files.ts';
import { writeJson, writeWhole } from '../../store/files.ts';
import { describeArtifact } from '../../store/manifest.ts';
import type { Recipe } from '../../store/run-folder.ts';
import { jsonValueSchema } from '../../store/schema.ts';
import { train } from '../../training/train.ts';
import { requireTrainingDevice } from '../../training/training-device.ts';
import { defined } from '../../util/defined.ts';
import type { PlannedArm, PlannedTraining } from './arms.ts';
import { type MitigateConfig, readMitigateConfig } from './config.ts';
import { type ArmOutcome, outcomes } from './outcome.ts';
import { renderMitigationReport } from './report.ts';
import { writePromptedRows } from './rows.ts';
import { type Scene, openScene, trainConfig } from './scene.ts';

export interface MitigateOptions {
  /** A mitigation file, or one that `readMitigateConfig` or `parseMitigateConfig` has read. */
  readonly config: string | MitigateConfig;
  /** Judges that are open already, and stay so; default: those that the configuration names. */
  readonly judges?: JudgeSource;
  readonly signal?: AbortSignal;
  /** Takes lines that a user should see. */
  readonly onNotice?: (message: string) => void;
  readonly onProgress?: (step: string, done: number, total: number) => void;
}

export interface MitigateResult {
  readonly model: string;
  readonly trait: string;
  readonly layer: number;
  readonly coherenceFloor: number;
  readonly arms: readonly ArmOutcome[];
  /** Absolute path of the HTML report. */
  readonly report: string;
}

/**
 * One data set, several treatments side by side: each is trained once, judged for every trait without any steering of its
 * training, and asked for its capability. Everything is kept in the output folder; the same call continues after a stop.
 *
 * @throws DataError or UsageError for a configuration that cannot be, before anything is trained.
 */
export async function mitigate(options: MitigateOptions): Promise<MitigateResult> {
  const { onProgress, onNotice } = options;
  requireTrainingDevice();
  const config =
    typeof options.config === 'string' ? await readMitigateConfig(options.config) : options.config;
  const checkpoint = await loadCheckpoint(config.model);
  const scene = await openScene(config, checkpoint);
  const judges = options.judges ?? (await openJudge(config.judge, defined({ onNote: onNotice })));
  const model = await loadFromCheckpoint(checkpoint, defined({ onNotice }));
  try {
    const base = new Map<string, PromptStates>([
      [
        scene.target.name,
        await promptStates(model, scene.target, scene.target.evaluationQuestions, options.signal),
      ],
    ]);
    const bench: Bench = { ...scene, config, checkpoint, judges, base, options };
    const arms: [PlannedArm, ArmResult][] = [];
    for (const [i, arm] of scene.arms.entries()) {
      onProgress?.('arms', i, scene.arms.length);
      arms.push([arm, await runArm(bench, model, arm)]);
    }
    return await finish(bench, arms);
  } finally {
    await model.close();
    if (options.judges === undefined) await judges.close();
  }
}

interface Bench extends Scene {
  readonly config: MitigateConfig;
  readonly checkpoint: Checkpoint;
  readonly judges: JudgeSource;
  readonly base: ReadonlyMap<string, PromptStates>;
  readonly options: MitigateOptions;
}

async function runArm(bench: Bench, model: LanguageModel, arm: PlannedArm): Promise<ArmResult> {
  const { config, checkpoint, place, options } = bench;
  const adapter = arm.training === null ? null : await runTraining(bench, arm.training);
  const measured = adapter === null ? model : await adaptedModel(model, adapter.folder);
  const { interventions } = await resolveSteering({ interventions: arm.steering }, checkpoint);
  const systems = {
    none: () => [],
    negative: (trait: Trait) => (trait.name === bench.target.name ? systemTexts(checkpoint, trait).neg : []),
    inoculation: () => [place.inoculation],
  }[arm.prompt];
  return measureArm({
    model: measured,
    folder: armPaths.arm(bench.out, arm.name),
    traits: bench.traits,
    judges: bench.judges,
    plan: {
      samples: ({ name }) => (name === bench.target.name ? config.samples : config.other_samples),
      maxTokens: config.max_tokens,
      seed: config.seed,
      interventions,
      systems,
    },
    choices: bench.choices,
    base: arm.steering.length === 0 ? bench.base : null,
    recipe: recipeOf(bench, arm, adapter?.sha256 ?? null),
    signal: options.signal,
    onProgress: (what, done, total) => options.onProgress?.(`${arm.name}: ${what}`, done, total),
  });
}

function recipeOf(bench: Bench, arm: PlannedArm, adapter: string | null): Recipe {
  const { config, fingerprint, vectorHash, choices, traits, place } = bench;
  return {
    fingerprint,
    adapter,
    vector: arm.steering.length === 0 ? null : vectorHash,
    steering: jsonValueSchema.parse(arm.steering.map(({ vector: _, ...entry }) => entry)),
    prompt: arm.prompt === 'inoculation' ? place.inoculation : arm.prompt,
    samples: [config.samples, config.other_samples],
    max_tokens: config.max_tokens,
    seed: config.seed,
    judge: bench.judges.name,
    capability: choices === null ? null : [choices.name, choices.items.length],
    traits: traits.map(({ trait }) => trait.sha256),
  };
}

async function runTraining(
  bench: Bench,
  training: PlannedTraining,
): Promise<{ folder: string; sha256: string }> {
  const { config, checkpoint, options, out, place, target } = bench;
  const folder = armPaths.training(out, training.name);
  let file = config.training_file;
  if (training.rows !== 'none') {
    const prompts =
      training.rows === 'one_prompt' ? [place.inoculation] : systemTexts(checkpoint, target).pos;
    file = armPaths.data(out, training.name);
    await mkdir(resolve(file, '..'), { recursive: true });
    await writePromptedRows(config.training_file, file, prompts, config.seed);
  }
  await train({
    config: trainConfig(config, { file, folder, keys: training.keys }),
    ...defined({ signal: options.signal }),
    onProgress: (event) => {
      if (event.type === 'step')
        options.onProgress?.(`${training.name}: training`, event.step.step, event.total);
    },
  });
  const { sha256 } = await describeArtifact(armPaths.adapter(folder));
  return { folder, sha256 };
}

async function finish(
  bench: Bench,
  arms: readonly (readonly [PlannedArm, ArmResult])[],
): Promise<MitigateResult> {
  const { config, checkpoint, target, out, place } = bench;
  const result: MitigateResult = {
    model: checkpoint.id,
    trait: target.name,
    layer: place.layer,
    coherenceFloor: config.coherence_floor,
    arms: outcomes(arms, target.name, config.coherence_floor),
    report: armPaths.report(out),
  };
  await writeJson(armPaths.results(out), result);
  await writeWhole(result.report, renderMitigationReport(result));
  return result;
}
