import { type DosePlan, planDoseResponse } from './dose-response.ts';
import { type ModelFacts, type Settings, splitQuestions } from './extract-options.ts';
import type { Pole } from './poles.ts';
import { systemTexts } from './prompt.ts';
import { type PlannedRollout, planExtraction } from './rollouts.ts';
import { type SweepPlan, planSweep } from './sweep.ts';
import { PersonaVector } from './vector.ts';

/** The rollouts of an extraction's steps, as its settings have them. */
export interface ExtractPlan {
  readonly step: 'rollouts' | 'sweep' | 'dose-response';
  readonly rollouts: readonly PlannedRollout[];
  /** Whether their activations are kept. */
  readonly captured: boolean;
}

/**
 * All rollouts that an extraction will make, before there is a vector: what steers them is a stand-in, their number and
 * their prompts are those of the run.
 */
export function planExtract(settings: Settings<ModelFacts>): ExtractPlan[] {
  const vector = standIn(settings);
  const sweep = sweepPlan(settings, vector);
  const dose = dosePlan(settings, vector, settings.sweep?.layers[0]);
  return [
    ...(settings.given === null
      ? [{ step: 'rollouts' as const, rollouts: extractionPlan(settings), captured: true }]
      : []),
    ...(sweep === null ? [] : [{ step: 'sweep' as const, rollouts: sweep.rollouts, captured: false }]),
    ...(dose === null ? [] : [{ step: 'dose-response' as const, rollouts: dose.rollouts, captured: false }]),
  ];
}

/** Both poles, under as many instructions and questions as the settings take. */
export function extractionPlan({
  trait,
  model,
  samples,
  questions,
  instructions,
}: Settings<ModelFacts>): PlannedRollout[] {
  const systems = systemTexts(model.checkpoint, trait);
  const first = (pole: Pole): string[] => systems[pole].slice(0, instructions);
  return planExtraction(
    { pos: first('pos'), neg: first('neg') },
    trait.questions.slice(0, questions),
    samples,
  );
}

/** Null where the sweep is left out. */
export function sweepPlan(settings: Settings<ModelFacts>, vector: PersonaVector): SweepPlan | null {
  const { sweep, trait, model, positions, unit, coherenceFloor, sampling } = settings;
  if (sweep === null) return null;
  const options = { ...sweep, unit, positions, coherenceFloor, seed: sampling.seed };
  return planSweep(systemTexts(model.checkpoint, trait), vector, splitQuestions(trait).sweep, options);
}

/** At the layer that was asked for, else at the sweep's; null where it is left out. */
export function dosePlan(
  settings: Settings<ModelFacts>,
  vector: PersonaVector,
  sweepLayer: number | undefined,
): DosePlan | null {
  const { dose, trait, positions, unit, coherenceFloor, sampling } = settings;
  const layer = dose?.layer ?? sweepLayer;
  if (dose === null || layer === undefined) return null;
  const options = { ...dose, layer, unit, positions, coherenceFloor, seed: sampling.seed };
  return planDoseResponse(vector, splitQuestions(trait).dose, options);
}

/** A vector of the model's size that can be steered by in every unit. */
function standIn({ model, trait, pooling, fingerprint }: Settings<ModelFacts>): PersonaVector {
  const { config, id, revision } = model.checkpoint;
  const { layers, width } = config;
  return new PersonaVector(layers, width, new Float32Array((layers + 1) * width).fill(1), {
    trait: trait.name,
    model: id,
    modelRevision: revision,
    modelFingerprint: fingerprint,
    pooling,
    method: 'difference_of_means',
    pairsKept: 0,
    pairsTotal: 0,
    threshold: 0,
    residualNorms: Array.from({ length: layers + 1 }, () => 1),
    recommendedLayer: null,
    recommendedStrength: null,
  });
}
