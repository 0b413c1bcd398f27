import { loadCheckpoint } from '../../model/checkpoint.ts';
import { requireTrainingDevice } from '../../training/training-device.ts';
import { readMitigateConfig } from './config.ts';
import { openScene } from './scene.ts';

/** What a mitigation would train and measure. */
export interface MitigationPlan {
  readonly model: string;
  readonly trait: string;
  readonly layer: number;
  readonly trainings: number;
  /** Names of the models that are measured. */
  readonly arms: readonly string[];
  /** Of each model. */
  readonly replies: number;
  /** Of each model; 0 where capability is not measured. */
  readonly questions: number;
}

/** Reads and checks all that a mitigation needs, without loading a weight or writing a file; errors as `mitigate`. */
export async function planMitigation(file: string): Promise<MitigationPlan> {
  requireTrainingDevice();
  const config = await readMitigateConfig(file);
  const checkpoint = await loadCheckpoint(config.model);
  const { arms, traits, target, choices, place } = await openScene(config, checkpoint);
  const trainings = new Set(arms.flatMap(({ training }) => (training === null ? [] : [training.name])));
  const replies = traits.reduce((sum, { trait }) => {
    const samples = trait.name === target.name ? config.samples : config.other_samples;
    return sum + samples * trait.evaluationQuestions.length;
  }, 0);
  return {
    model: checkpoint.id,
    trait: target.name,
    layer: place.layer,
    trainings: trainings.size,
    arms: arms.map(({ name }) => name),
    replies,
    questions: choices?.items.length ?? 0,
  };
}
