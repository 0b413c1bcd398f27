import { AbortError, PersonaError } from '../../errors.ts';
import { poolings } from '../../engine/types.ts';
import { planConditions, untouched } from '../../persona/condition.ts';
import type { Trait } from '../../persona/trait.ts';
import { PersonaVector } from '../../persona/vector.ts';
import { reproductionPaths } from '../../store/reproduction-folder.ts';
import { defined } from '../../util/defined.ts';
import { type Estimate, joinEstimates } from '../estimate.ts';
import {
  type EstimateExperimentOptions,
  estimateMonitoringExperiment,
  estimatePlannedReplies,
  estimateSteeringExperiment,
} from '../estimate-experiments.ts';
import { estimateExtract } from '../estimate-extract.ts';
import type { RateOptions } from '../estimate-rate.ts';
import { runFolderName } from '../extract-all.ts';
import type { PriceTable } from '../judge-prices.ts';
import { partNames, partPlan, withNeeds } from './parts.ts';
import { type ReproduceOptions, openScene } from './reproduce.ts';
import { extractionOptions } from './run-vectors.ts';
import { type ReproduceScene, traitsOf } from './scene.ts';

export type EstimateReproduceOptions = Omit<ReproduceOptions, 'signal' | 'onProgress'> &
  RateOptions & { readonly prices?: PriceTable | undefined };

/** Parts that write and read replies alone; nothing estimates a training yet. */
const countedParts = ['extraction', 'poolings', 'steering', 'monitoring'] as const;
type CountedPart = (typeof countedParts)[number];

/** What the parts that write and read replies will take; those that train are named, not counted. */
export async function estimateReproduction(options: EstimateReproduceOptions): Promise<Estimate> {
  const scene = await openScene(options);
  const wanted = withNeeds(options.only ?? partNames);
  const judges = await scene.openJudges();
  const named: [string, Estimate][] = [];
  const notes: string[] = [];
  try {
    for (const part of countedParts) {
      if (!wanted.includes(part)) continue;
      for (const trait of traitsOf(scene, part)) {
        try {
          const estimate = await estimatePart(part, scene, {
            ...options,
            trait,
            judge: judges.forTrait(trait),
          });
          named.push([`${part}, ${trait.name}`, estimate]);
        } catch (error) {
          if (!(error instanceof PersonaError) || error instanceof AbortError) throw error;
          notes.push(`Not to be run: ${part}, ${trait.name}: ${error.message}`);
        }
      }
    }
  } finally {
    await judges.close();
  }
  const joined = joinEstimates(named);
  const training = wanted.filter((part) => partPlan(part).trains);
  const left = scene.noData ?? 'A training is not estimated, and takes longer than the rest.';
  return {
    ...joined,
    command: 'reproduce',
    notes: [
      ...notes,
      ...joined.notes,
      ...(training.length === 0 ? [] : [`Not counted: ${training.join(', ')}. ${left}`]),
    ],
  };
}

type PartOptions = Omit<EstimateReproduceOptions, 'judge'> &
  Pick<EstimateExperimentOptions, 'trait' | 'judge'>;

async function estimatePart(
  part: CountedPart,
  scene: ReproduceScene,
  { trait, judge, prices, rate, measure, cacheFolder, onNotice }: PartOptions,
): Promise<Estimate> {
  const { checkpoint, dtype, blockSize, settings, layer, model, adapter } = scene;
  const maxTokens = settings.max_tokens ?? undefined;
  const rates = defined({ rate, measure, cacheFolder, onNotice });
  const out = reproductionPaths.trait(scene.out, part, runFolderName(trait.name));
  const common = { ...rates, checkpoint, trait, judge, out, ...defined({ dtype, blockSize, prices }) };
  switch (part) {
    case 'extraction': {
      const extract = { ...extractionOptions(scene), trait, judge, out };
      return estimateExtract({ ...rates, model, extract, ...defined({ adapter, dtype, blockSize, prices }) });
    }
    case 'poolings': {
      const { samples, lengths } = settings.poolings;
      return estimatePlannedReplies('reproduce', common, planPoolings(trait, samples, lengths), maxTokens);
    }
    case 'steering': {
      const { samples, turns } = settings.steering;
      const vector = placeholder(scene, trait);
      const given = { vector, layer, samples, turns, ...defined({ maxTokens }) };
      return estimateSteeringExperiment({ ...common, ...given, model: { checkpoint } });
    }
    case 'monitoring': {
      const { samples } = settings.monitoring;
      return estimateMonitoringExperiment({ ...common, samples, maxTokens });
    }
    default:
      return part satisfies never;
  }
}

function planPoolings(trait: Trait, samples: number, lengths: readonly number[]) {
  const questions = trait.evaluationQuestions.map((text, index) => ({ index, text }));
  const steered = poolings.flatMap((name) => lengths.map((length) => `${name}*${length}`));
  const conditions = ['zero', ...steered].map((id) => ({ ...untouched, id }));
  return planConditions(conditions, { step: 'poolings', questions, samples, positions: 'response' });
}

/** In place of a vector that is still to be extracted: how many replies are written does not depend on its numbers. */
function placeholder({ checkpoint, layer }: ReproduceScene, trait: Trait): PersonaVector {
  const { layers, width } = checkpoint.config;
  return new PersonaVector(layers, width, new Float32Array((layers + 1) * width).fill(1), {
    trait: trait.name,
    model: checkpoint.id,
    modelRevision: checkpoint.revision,
    modelFingerprint: null,
    pooling: 'response_mean',
    method: 'difference_of_means',
    pairsKept: 0,
    pairsTotal: 0,
    threshold: 50,
    residualNorms: Array.from({ length: layers + 1 }, () => 1),
    recommendedLayer: layer,
    recommendedStrength: null,
  });
}
