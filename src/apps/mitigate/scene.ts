import { resolve } from 'node:path';
import type { ChoiceSet } from '../../persona/capability/choice-set.ts';
import { UsageError } from '../../errors.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import { readModelNote } from '../../persona/model-note.ts';
import { checkVectorFits } from '../../persona/projection/watch.ts';
import { systemTexts } from '../../persona/prompt.ts';
import { type Trait, loadTrait, resolveTrait } from '../../persona/trait.ts';
import { traitSet } from '../../persona/trait-set.ts';
import type { MeasuredTrait } from '../../persona/tuned/measure-arm.ts';
import { findVector } from '../../persona/vector-folder.ts';
import { PersonaVector } from '../../persona/vector.ts';
import { describeArtifact } from '../../store/manifest.ts';
import { type TrainConfig, parseTrainConfig } from '../../training/config.ts';
import { settleTraining } from '../../training/settings.ts';
import { choiceSetFor } from '../capability.ts';
import { type ArmScene, type PlannedArm, planArms } from './arms.ts';
import type { MitigateConfig } from './config.ts';

/** A mitigation with everything that it reads in hand, and nothing begun. */
export interface Scene {
  readonly out: string;
  readonly fingerprint: string;
  readonly target: Trait;
  readonly traits: readonly MeasuredTrait[];
  readonly choices: ChoiceSet | null;
  readonly arms: readonly PlannedArm[];
  readonly place: ArmScene;
  readonly vectorHash: string;
}

/** Everything that is read, checked before a weight is loaded. */
export async function openScene(config: MitigateConfig, checkpoint: Checkpoint): Promise<Scene> {
  const naming = { modelFolder: checkpoint.folder };
  const target = await resolveTrait(config.trait, naming);
  if (target.evaluationQuestions.length < 2)
    throw new UsageError(
      `Expected the trait "${target.name}" to have evaluation questions, half of which choose strengths, got ${target.evaluationQuestions.length}.`,
    );
  const file = await findVector(config.vector ?? target.name, config.vectors);
  const vector = await PersonaVector.load(file, config.pooling);
  checkVectorFits(vector, checkpoint, JSON.stringify(file));
  const layer = config.layer ?? vector.metadata.recommendedLayer;
  if (layer === null || layer > vector.layers)
    throw new UsageError(
      `Expected "layer" from 1 to ${vector.layers}, ${layer === null ? 'since the vector recommends none' : `got ${layer}`}.`,
    );
  const { steering } = await readModelNote(checkpoint.folder);
  const positions = config.positions ?? steering.positions;
  const place: ArmScene = {
    vector: file,
    pooling: config.pooling,
    layer,
    trainPositions: positions ?? 'all',
    answerPositions: positions ?? 'response',
    inoculation: inoculationOf(config, checkpoint, target),
  };
  const others = await othersOf(config, checkpoint, target);
  await settleTraining(
    trainConfig(config, { file: config.training_file, folder: resolve(config.output_dir) }),
  );
  return {
    out: resolve(config.output_dir),
    fingerprint: await checkpointFingerprint(checkpoint),
    target,
    traits: [{ trait: target, vector }, ...others.map((trait) => ({ trait, vector: null }))],
    choices: config.capability === false ? null : await choiceSetFor(checkpoint, config.capability),
    arms: planArms(config.treatments, place),
    place,
    vectorHash: (await describeArtifact(file)).sha256,
  };
}

/** How one of the adapters is trained, with what its treatment changes. */
export function trainConfig(
  { model, seed, train }: MitigateConfig,
  place: {
    readonly file: string;
    readonly folder: string;
    readonly keys?: Readonly<Record<string, unknown>>;
  },
): TrainConfig {
  const { file: training_file, folder: output_dir, keys } = place;
  return parseTrainConfig({ seed, ...train, ...keys, model, training_file, output_dir }, '"train"');
}

function inoculationOf(config: MitigateConfig, checkpoint: Checkpoint, target: Trait): string {
  const given = config.treatments.find(({ kind }) => kind === 'inoculation');
  const prompt = given?.kind === 'inoculation' ? given.prompt : undefined;
  return prompt ?? systemTexts(checkpoint, target).pos[0]!;
}

async function othersOf(config: MitigateConfig, checkpoint: Checkpoint, target: Trait): Promise<Trait[]> {
  const { measure } = config;
  if (measure !== undefined) {
    const named = measure.filter((name) => name !== target.name);
    return Promise.all(named.map((name) => resolveTrait(name, { modelFolder: checkpoint.folder })));
  }
  const shipped = await traitSet({ modelFolder: checkpoint.folder });
  return Promise.all(shipped.filter(({ name }) => name !== target.name).map(({ file }) => loadTrait(file)));
}
