import type { FinetuningResult } from '../../persona/experiments/finetuning.ts';
import type { MonitoringExperiment } from '../../persona/experiments/monitoring.ts';
import type { PoolingExperiment } from '../../persona/experiments/poolings.ts';
import type { SteeringExperiment } from '../../persona/experiments/steering.ts';
import type { MitigateResult } from '../mitigate/mitigate.ts';
import type { ScreeningExperimentResult } from '../screen/experiment.ts';
import { type Comparison, sentenceOf } from './compare.ts';
import { compareMitigation } from './compare-mitigation.ts';
import { compareFinetuning } from './compare-models.ts';
import { compareScreening } from './compare-screening.ts';
import { compareExtraction, compareMonitoring, comparePoolings, compareSteering } from './compare-vectors.ts';
import { type PartName, partNames } from './parts.ts';
import type { ExtractionData } from './run-vectors.ts';
import type { TraitFailure } from './scene.ts';
import type { ReproduceSettings } from './settings.ts';

/** What each part finds. */
export interface PartData {
  readonly extraction: ExtractionData;
  readonly poolings: readonly PoolingExperiment[];
  readonly steering: readonly SteeringExperiment[];
  readonly monitoring: readonly MonitoringExperiment[];
  readonly finetuning: FinetuningResult;
  readonly mitigation: readonly MitigateResult[];
  readonly screening: ScreeningExperimentResult;
}

/** What became of a part. */
export type PartOutcome<P extends PartName = PartName> =
  | {
      readonly status: 'done';
      readonly seconds: number;
      /** Traits without a result. */
      readonly failures: readonly TraitFailure[];
      readonly data: PartData[P];
    }
  | { readonly status: 'failed'; readonly reason: string }
  /** Its turn has not come, or the run was stopped before it. */
  | { readonly status: 'to come' }
  /** It was not asked for, and is not there from before. */
  | { readonly status: 'left out' };
export type PartOutcomes = { readonly [P in PartName]: PartOutcome<P> };

/** What a reproduction was made with. */
export interface About {
  /** Name and version. */
  readonly package: string;
  readonly model: string;
  readonly layers: number;
  /** Where projections are read and models are steered in training. */
  readonly layer: number;
  readonly judge: string;
  readonly precision: string;
  readonly quick: boolean;
  readonly seed: number;
  readonly settings: ReproduceSettings;
}

/** `results.json`. */
export interface Reproduction {
  readonly about: About;
  /** Whether all parts that were asked for gave all that they should. */
  readonly complete: boolean;
  readonly parts: PartOutcomes;
  readonly comparisons: readonly Comparison[];
  /** On each part that gave a result: what agrees with the paper and what does not. */
  readonly sentences: Readonly<Partial<Record<PartName, string>>>;
}

/** Compares what there is with the paper. */
export function summarise(parts: PartOutcomes, about: About): Reproduction {
  const comparisons = partNames.flatMap((part) => comparisonsOf(part, parts, about.layers));
  const done = partNames.filter((part) => parts[part].status === 'done');
  return {
    about,
    complete: partNames.every((part) => isWhole(parts[part])),
    parts,
    comparisons,
    sentences: Object.fromEntries(
      done.map((name) => [name, sentenceOf(comparisons.filter(({ part }) => part === name))]),
    ),
  };
}

function isWhole(outcome: PartOutcome): boolean {
  return outcome.status === 'left out' || (outcome.status === 'done' && outcome.failures.length === 0);
}

function comparisonsOf(part: PartName, parts: PartOutcomes, layers: number): Comparison[] {
  const found = <P extends PartName>(
    outcome: PartOutcome<P>,
    compare: (data: PartData[P]) => Comparison[],
  ): Comparison[] => (outcome.status === 'done' ? compare(outcome.data) : []);
  switch (part) {
    case 'extraction':
      return found(parts.extraction, (data) => compareExtraction(data, layers));
    case 'poolings':
      return found(parts.poolings, comparePoolings);
    case 'steering':
      return found(parts.steering, compareSteering);
    case 'monitoring':
      return found(parts.monitoring, compareMonitoring);
    case 'finetuning':
      return found(parts.finetuning, compareFinetuning);
    case 'mitigation':
      return found(parts.mitigation, compareMitigation);
    case 'screening':
      return found(parts.screening, compareScreening);
    default:
      return part satisfies never;
  }
}
