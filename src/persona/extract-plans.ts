import { type DosePlan, planDoseResponse } from './dose-response.ts';
import type { Sweep } from '../store/result-schema.ts';
import { type ModelFacts, type Settings, splitQuestions } from './extract-options.ts';
import { planHeldOut } from './held-out.ts';
import type { Pole } from './poles.ts';
import { systemTexts } from './prompt.ts';
import { type PlannedRollout, planExtraction } from './rollouts.ts';
import { type SweepPlan, type SweepSettings, planRefinement, planSweep } from './sweep.ts';
import { PersonaVector } from './vector.ts';

/** The rollouts of an extraction's steps, as its settings have them. */
export interface ExtractPlan {
  readonly step: 'rollouts' | 'sweep' | 'dose-response' | 'held-out';
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
  const guess = settings.sweep === null ? null : largestSweep(settings, settings.sweep, vector);
  const dose = dosePlan(settings, vector, guess);
  const fine = guess === null ? null : refinementPlan(settings, guess, vector);
  return [
    ...(settings.given === null
      ? [{ step: 'rollouts' as const, rollouts: extractionPlan(settings), captured: true }]
      : []),
    ...(sweep === null
      ? []
      : [
          {
            step: 'sweep' as const,
            rollouts: [...sweep.rollouts, ...(fine?.rollouts ?? [])],
            captured: false,
          },
        ]),
    ...(dose === null ? [] : [{ step: 'dose-response' as const, rollouts: dose.rollouts, captured: false }]),
    ...(settings.heldOut === null
      ? []
      : [{ step: 'held-out' as const, rollouts: heldOutPlan(settings), captured: true }]),
  ];
}

/** A sweep whose best cell has the most neighbours: what comes after it is then at its largest. */
function largestSweep(
  settings: Settings<ModelFacts>,
  { layers, strengths }: NonNullable<Settings['sweep']>,
  vector: PersonaVector,
): Sweep {
  const [layer, strength] = [layers[Math.floor((layers.length - 1) / 2)]!, strengths.find((s) => s > 0)];
  const plan = sweepPlan(settings, vector)!;
  const scores = plan.rollouts.map(({ ids }) => {
    const best = ids['condition'] === `trait@${layer}*${strength}`;
    return { trait: best ? 100 : 0, coherence: 100, raw: null };
  });
  return plan.summarise(scores);
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
  const { sweep, trait, model } = settings;
  if (sweep === null) return null;
  const questions = splitQuestions(trait).sweep;
  return planSweep(systemTexts(model.checkpoint, trait), vector, questions, sweepSettings(settings, sweep));
}

/** The second pass over a finished first one; null where there is nothing between its cells. */
export function refinementPlan(
  settings: Settings<ModelFacts>,
  first: Sweep,
  vector: PersonaVector,
): SweepPlan | null {
  const { sweep, trait } = settings;
  if (sweep === null || !sweep.fine) return null;
  return planRefinement(first, vector, splitQuestions(trait).sweep, sweepSettings(settings, sweep));
}

function sweepSettings(
  { unit, positions, coherenceFloor, sampling }: Settings<ModelFacts>,
  sweep: NonNullable<Settings['sweep']>,
): SweepSettings {
  return { ...sweep, unit, positions, coherenceFloor, seed: sampling.seed };
}

/** Both poles on the evaluation questions. */
export function heldOutPlan({ trait, model, heldOut }: Settings<ModelFacts>): PlannedRollout[] {
  const questions = trait.evaluationQuestions.map((text, index) => ({ text, index }));
  return planHeldOut(systemTexts(model.checkpoint, trait), questions, heldOut?.samples ?? 1);
}

/** At the layer that was asked for, else at the sweep's; null where it is left out. */
export function dosePlan(
  settings: Settings<ModelFacts>,
  vector: PersonaVector,
  sweep: Sweep | null,
): DosePlan | null {
  const { dose, trait, positions, unit, coherenceFloor, sampling } = settings;
  const layer = dose?.layer ?? sweep?.layer;
  if (dose === null || layer === undefined) return null;
  const best = sweep?.recommended ?? null;
  const chosen = best?.layer === layer ? best.strength : null;
  const options = { ...dose, layer, chosen, unit, positions, coherenceFloor, seed: sampling.seed };
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
