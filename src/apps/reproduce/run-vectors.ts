import type { LanguageModel } from '../../engine/model.ts';
import { DataError } from '../../errors.ts';
import { type Finding, describeFinding } from '../../persona/finding.ts';
import type { ExtractOptions } from '../../persona/extract-options.ts';
import type { ExtractEvent } from '../../persona/progress.ts';
import { type MonitoringExperiment, monitoringExperiment } from '../../persona/experiments/monitoring.ts';
import { type PoolingExperiment, poolingExperiment } from '../../persona/experiments/poolings.ts';
import { type SteeringExperiment, steeringExperiment } from '../../persona/experiments/steering.ts';
import type { PersonaVector } from '../../persona/vector.ts';
import { reproductionPaths } from '../../store/reproduction-folder.ts';
import type { DoseResponse, HeldOut, Sweep } from '../../store/result-schema.ts';
import { defined } from '../../util/defined.ts';
import { cosineMatrix } from '../compare-vectors.ts';
import { type TraitOutcome, extractAll, runFolderName } from '../extract-all.ts';
import {
  type PartResult,
  type ReproduceScene,
  type TraitFailure,
  type TraitPlace,
  eachTrait,
  placeOf,
  traitsOf,
  withModel,
} from './scene.ts';

/** What the extraction of one trait found. */
export interface ExtractedTrait {
  readonly trait: string;
  readonly pairs: number;
  readonly kept: number;
  readonly pooling: string;
  readonly positions: string;
  readonly finding: Pick<Finding, 'label' | 'headline'>;
  readonly sweep: Sweep | null;
  readonly dose: DoseResponse | null;
  /** AUROC of held-out rollouts, by layer from 0 on. */
  readonly heldOut: HeldOut['layers'] | null;
}

export interface ExtractionData {
  readonly traits: readonly ExtractedTrait[];
  readonly cosines: {
    readonly layer: number;
    readonly names: readonly string[];
    readonly values: readonly (readonly (number | null)[])[];
  } | null;
}

/** How a trait is extracted. */
export function extractionOptions({ settings, seed }: ReproduceScene): Partial<ExtractOptions> {
  const { extraction, max_tokens: maxTokens } = settings;
  return {
    samples: extraction.samples,
    // A single sample is not the greedy one: every instruction and question has its own random numbers.
    temperature: 1,
    force: extraction.force,
    seed,
    sweep: { samples: extraction.sweep_samples, fine: extraction.fine },
    doseResponse: {
      samples: extraction.dose_samples,
      randomDirections: extraction.random_directions,
      randomSamples: extraction.random_samples,
    },
    ...defined({ questions: extraction.questions ?? undefined, maxTokens: maxTokens ?? undefined }),
  };
}

/** Vectors of all traits, with what they do by layer and by strength. */
export function runExtraction(scene: ReproduceScene): Promise<PartResult<ExtractionData>> {
  const { signal, out, layer, onProgress } = scene;
  return withModel(scene, async (model, judges) => {
    const outcomes = await extractAll({
      ...extractionOptions(scene),
      model,
      judges,
      traits: traitsOf(scene, 'extraction'),
      out: reproductionPaths.part(out, 'extraction'),
      ...defined({ signal }),
      onTrait: ({ name }) => listener(name, onProgress),
    });
    if (outcomes.every(({ result }) => result === null))
      throw new DataError(outcomes.map(({ trait, failure }) => `${trait}: ${failure}`).join(' '));
    const vectors = outcomes.flatMap(({ result }) => (result === null ? [] : [result.vector]));
    return {
      data: { traits: outcomes.flatMap(extractedTrait), cosines: cosinesAt(vectors, layer) },
      failures: outcomes.flatMap(({ trait, failure }): TraitFailure[] =>
        failure === null ? [] : [{ trait, reason: failure }],
      ),
    };
  });
}

function listener(trait: string, onProgress: ReproduceScene['onProgress']): (event: ExtractEvent) => void {
  return (event) => {
    if (event.type === 'step-progress') onProgress(`${trait}, ${event.step}`, event.done, event.total);
  };
}

function extractedTrait({ trait, result }: TraitOutcome): ExtractedTrait[] {
  if (result === null) return [];
  const { vector, counts, validation, manifest } = result;
  const { sweep, dose, heldOut, pooling, positions } = validation;
  const { label, headline } = describeFinding({
    trait,
    model: vector.metadata.model,
    sweep,
    dose,
    judge: manifest.judge,
  });
  const { pairs, kept } = counts;
  return [
    {
      trait,
      pairs,
      kept,
      pooling,
      positions,
      finding: { label, headline },
      sweep,
      dose,
      heldOut: heldOut?.layers ?? null,
    },
  ];
}

function cosinesAt(vectors: readonly PersonaVector[], layer: number): ExtractionData['cosines'] {
  if (vectors.length < 2) return null;
  return {
    layer,
    names: vectors.map(({ metadata }) => metadata.trait),
    values: cosineMatrix(vectors, layer),
  };
}

/** Every pooling's direction at equal lengths, at the layer that steering chose. */
export function runPoolings(scene: ReproduceScene): Promise<PartResult<PoolingExperiment[]>> {
  const { samples, lengths } = scene.settings.poolings;
  return eachPlace(scene, 'poolings', ({ trait, file, steeringLayer, judge }, common) =>
    poolingExperiment({ ...common, trait, judge, vector: file, layer: steeringLayer, lengths, samples }),
  );
}

/** −α where the trait is asked for, +α where it is not, caps, and conversations. */
export function runSteering(scene: ReproduceScene): Promise<PartResult<SteeringExperiment[]>> {
  const { samples, turns } = scene.settings.steering;
  return eachPlace(scene, 'steering', ({ trait, vector, steeringLayer, judge }, common) =>
    steeringExperiment({ ...common, trait, vector, judge, layer: steeringLayer, samples, turns }),
  );
}

/** The state before a reply against the trait in it, over graded prompts and exemplars. */
export function runMonitoring(scene: ReproduceScene): Promise<PartResult<MonitoringExperiment[]>> {
  const { samples, random_directions: randomDirections } = scene.settings.monitoring;
  return eachPlace(scene, 'monitoring', ({ trait, vector, judge }, common) =>
    monitoringExperiment({
      ...common,
      trait,
      vector,
      judge,
      layer: scene.layer,
      samples,
      randomDirections,
    }),
  );
}

/** What the experiments of all traits have in common. */
interface Common {
  readonly model: LanguageModel;
  readonly out: string;
  readonly seed: number;
  readonly maxTokens: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ReproduceScene['onProgress'];
}

/** Runs an experiment for each trait of a part, in a folder of its own. */
function eachPlace<T>(
  scene: ReproduceScene,
  part: 'poolings' | 'steering' | 'monitoring',
  run: (place: TraitPlace, common: Common) => Promise<T>,
): Promise<PartResult<T[]>> {
  const { settings, seed, signal, out, onProgress } = scene;
  return withModel(scene, (model, judges) =>
    eachTrait(traitsOf(scene, part), async (trait) => {
      const place = await placeOf(scene, trait, judges);
      return run(place, {
        model,
        out: reproductionPaths.trait(out, part, runFolderName(trait.name)),
        seed,
        maxTokens: settings.max_tokens ?? undefined,
        signal,
        onProgress: (step, done, total) => onProgress(`${trait.name}, ${step}`, done, total),
      });
    }),
  );
}
