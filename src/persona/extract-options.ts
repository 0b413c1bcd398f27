import { UsageError } from '../errors.ts';
import { positionsCapability, requireCapability } from '../engine/capabilities.ts';
import type { LanguageModel } from '../engine/model.ts';
import { type Pooling, type Positions, poolings } from '../engine/types.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import type { FileSystem } from '../store/files.ts';
import { type DirectionKind, directionKinds } from './directions.ts';
import { type FilterMode, type FilterRule, filterModes } from './filter.ts';
import type { GivenRollouts } from './given-rollouts.ts';
import type { JudgeProvider } from './judge.ts';
import { lexicalJudgeOf } from './lexical-judge.ts';
import { type ModelSteering, readModelNote } from './model-note.ts';
import type { ProgressListener } from './progress.ts';
import type { Sampling } from './rollouts.ts';
import { type StrengthUnit, strengthUnits } from './strength.ts';
import { defaultLayers } from './sweep.ts';
import { type Trait, resolveTrait } from './trait.ts';

/** Options of the layer × strength sweep. */
export interface SweepOptions {
  /** Default: at most eight, evenly spread over all. */
  readonly layers?: readonly number[];
  /** Default ±0.2 and ±0.4 as fractions, ±1 and ±2 as coefficients; 0 is always run. */
  readonly strengths?: readonly number[];
  /** Rollouts of a question in every cell; default 3. */
  readonly samples?: number;
  /** A second pass between the cells around the best one; default true. */
  readonly fine?: boolean;
}

/** Options of the projections of held-out rollouts. */
export interface HeldOutOptions {
  /** Rollouts of every instruction × evaluation question and pole; default 1. */
  readonly samples?: number;
}

/** Options of the dose response. */
export interface DoseOptions {
  /** Default: the layer that the sweep recommends. */
  readonly layer?: number;
  /** Default: the model's, else −0.4, −0.2, −0.1, 0, 0.1, 0.2, 0.4 as fractions, −2, −1, −0.5, 0, 0.5, 1, 2 as coefficients. */
  readonly strengths?: readonly number[];
  /** Rollouts of a question at every strength; default: as many as make 200 rollouts. */
  readonly samples?: number;
  /** Random directions of the same norm; default 20. */
  readonly randomDirections?: number;
  /** Rollouts of a question at each of their two ends; default: as many as make 50 rollouts. */
  readonly randomSamples?: number;
}

export interface ExtractOptions {
  readonly model: LanguageModel;
  /** A trait, the name of one of the model's shipped set, or the path of a trait file. */
  readonly trait: Trait | string;
  /** Run folder: new, empty, or the beginning of this very run, which is then continued. */
  readonly out: string;
  /** Rollouts of every instruction × question and pole; default 10, as in the paper. */
  readonly samples?: number;
  /** How many of the trait's questions are asked, from the first on; default all. */
  readonly questions?: number;
  /** How many of its pairs of instructions are used, from the first on; default all. */
  readonly instructions?: number;
  /** Rollouts made elsewhere, instead of sampling any; see `readGivenRollouts`. */
  readonly rollouts?: GivenRollouts;
  /** Pool and judge what a model thinks like the rest of its reply; default: thoughts are left out. */
  readonly keepThoughts?: boolean;
  /** Longest reply; default: the paper's 1000 tokens, at most half the context, for a chat model, else 96. */
  readonly maxTokens?: number;
  /** Default 1; 0 for the extraction's own rollouts where `samples` is 1, as in the authors' code. */
  readonly temperature?: number;
  /** Default 1. */
  readonly topP?: number;
  /** Default 0. Equal seeds and options give equal files. */
  readonly seed?: number;
  /**
   * Which pooling's vector is swept and recommended; default: what the model's `persona.json` says, else
   * `response_mean`, the paper's. All are kept.
   */
  readonly pooling?: Pooling;
  /** Directions beside the difference of means, in the same pooling; default none. */
  readonly directions?: readonly DirectionKind[];
  /** Where the vector is added; default: what the model's `persona.json` says, else `response`, the paper's. */
  readonly positions?: Positions;
  /** How the strengths below are meant; default: the model's, else `fraction` of the residual stream's norm. */
  readonly strengthUnit?: StrengthUnit;
  /** Default `paired`, the authors' rule. */
  readonly filter?: FilterMode;
  /** Trait score from which a positive rollout is kept, and 100 minus it below which a negative one is; default 50. */
  readonly threshold?: number;
  /** Coherence from which a rollout is kept; default: the same number as `threshold`. */
  readonly coherenceThreshold?: number;
  /** Go on with fewer than 30 pairs, down to one. */
  readonly force?: boolean;
  /** Default: the lexical judge with the trait's word lists. */
  readonly judge?: JudgeProvider;
  /** Mean coherence that a recommended strength must keep; default 75. */
  readonly coherenceFloor?: number;
  /** False leaves the sweep out. */
  readonly sweep?: SweepOptions | false;
  /** False leaves the dose response out. */
  readonly doseResponse?: DoseOptions | false;
  /** False leaves the projections of held-out rollouts out; default: as the sweep is. */
  readonly heldOut?: HeldOutOptions | false;
  /** Most rows side by side; decides speed and memory only. */
  readonly batchRows?: number;
  readonly onProgress?: ProgressListener;
  /** Stops after the step in hand; the same options continue. */
  readonly signal?: AbortSignal;
  /** For tests: a file system that fails. */
  readonly files?: FileSystem;
}

/** What settings ask of a model: one that is not loaded has it too. */
export type ModelFacts = Pick<LanguageModel, 'checkpoint' | 'precision' | 'capabilities'>;

/** Options of an extraction that may be planned only. */
type SettleOptions<Model> = Omit<ExtractOptions, 'model'> & { readonly model: Model };

/** Options with every default filled in and checked. */
export interface Settings<Model extends ModelFacts = LanguageModel> {
  readonly model: Model;
  readonly trait: Trait;
  readonly out: string;
  readonly judge: JudgeProvider;
  /** Null where rollouts are sampled. */
  readonly given: GivenRollouts | null;
  readonly keepThoughts: boolean;
  readonly samples: number;
  readonly questions: number;
  readonly instructions: number;
  /** Of texts that measure; the extraction's own differ by `temperature`. */
  readonly sampling: Sampling;
  readonly temperature: number;
  readonly capture: readonly Pooling[];
  readonly pooling: Pooling;
  readonly directions: readonly DirectionKind[];
  readonly positions: Positions;
  readonly unit: StrengthUnit;
  readonly filter: FilterRule;
  readonly force: boolean;
  readonly coherenceFloor: number;
  readonly sweep: {
    readonly layers: readonly number[];
    readonly strengths: readonly number[];
    readonly samples: number;
    readonly fine: boolean;
  } | null;
  readonly heldOut: { readonly samples: number } | null;
  readonly dose: {
    /** Null: the sweep's. */
    readonly layer: number | null;
    readonly strengths: readonly number[];
    readonly samples: number;
    readonly randomDirections: number;
    readonly randomSamples: number;
  } | null;
  readonly fingerprint: string;
}

/** Rollouts at every strength of the dose response, over all its questions. */
const DOSE_ROLLOUTS = 200;
/** The same at each end of a random direction. There are many of them, and more noise makes their interval wider. */
const RANDOM_ROLLOUTS = 50;

/** Fixed for all models; a length has no scale that fits them all, so it must be given. */
const defaultStrengths: Readonly<Record<StrengthUnit, Record<'sweep' | 'dose', readonly number[]>>> = {
  fraction: { sweep: [-0.4, -0.2, 0.2, 0.4], dose: [-0.4, -0.2, -0.1, 0, 0.1, 0.2, 0.4] },
  coef: { sweep: [-2, -1, 1, 2], dose: [-2, -1, -0.5, 0, 0.5, 1, 2] },
  norm: { sweep: [], dose: [] },
};

/** Fills in the defaults; UsageError for an option that cannot be. */
export async function settle<Model extends ModelFacts>(
  options: SettleOptions<Model>,
): Promise<Settings<Model>> {
  const { model } = options;
  const trait =
    typeof options.trait === 'string'
      ? await resolveTrait(options.trait, { modelFolder: model.checkpoint.folder })
      : options.trait;
  const { steering } = await readModelNote(model.checkpoint.folder);
  const settings: Settings<Model> = {
    model,
    trait,
    out: options.out,
    judge: options.judge ?? lexicalJudgeOf(trait),
    given: options.rollouts ?? null,
    keepThoughts: options.keepThoughts ?? false,
    samples: options.samples ?? 10,
    questions: options.questions ?? trait.questions.length,
    instructions: options.instructions ?? trait.instructions.length,
    temperature: options.temperature ?? (options.samples === 1 ? 0 : 1),
    sampling: {
      maxTokens: options.maxTokens ?? defaultMaxTokens(model.checkpoint),
      temperature: options.temperature ?? 1,
      topP: options.topP ?? 1,
      seed: options.seed ?? 0,
    },
    // Sentence ends are found by the tokenizer, so every model that can make rollouts has all four.
    capture: poolings,
    pooling: options.pooling ?? steering.pooling ?? 'response_mean',
    directions: directionKinds.filter((kind) => options.directions?.includes(kind) === true),
    positions: options.positions ?? steering.positions ?? 'response',
    unit: options.strengthUnit ?? steering.strengths?.unit ?? 'fraction',
    filter: {
      mode: options.filter ?? 'paired',
      threshold: options.threshold ?? 50,
      coherence: options.coherenceThreshold ?? options.threshold ?? 50,
    },
    force: options.force ?? false,
    coherenceFloor: options.coherenceFloor ?? 75,
    ...settleEvaluation(options, trait, steering),
    fingerprint: await checkpointFingerprint(model.checkpoint),
  };
  check(settings, model.checkpoint.config.layers);
  requireAbilities(settings);
  return settings;
}

/** What would be missing after hours of rollouts is told at once. */
function requireAbilities({ model, positions, sweep, dose }: Settings<ModelFacts>): void {
  requireCapability(model, 'capture', 'an extraction');
  if (sweep === null && dose === null) return;
  requireCapability(model, 'add', "an extraction's sweep");
  requireCapability(
    model,
    positionsCapability(positions),
    `an extraction's sweep with --positions ${positions}`,
  );
}

/** Every second evaluation question is the sweep's, the others are the dose response's: none chooses its own judge. */
export function splitQuestions(trait: Trait): Record<'sweep' | 'dose', { index: number; text: string }[]> {
  const numbered = trait.evaluationQuestions.map((text, index) => ({ index, text }));
  return {
    sweep: numbered.filter(({ index }) => index % 2 === 0),
    dose: numbered.filter(({ index }) => index % 2 === 1),
  };
}

/** The paper's length, as far as a prompt of the other half leaves room; a base model has no end of turn to stop at. */
function defaultMaxTokens({ chatTemplate, config }: Checkpoint): number {
  return chatTemplate === null ? 96 : Math.min(1000, Math.floor(config.maxPositions / 2));
}

function settleEvaluation(
  options: SettleOptions<ModelFacts>,
  trait: Trait,
  steering: ModelSteering,
): Pick<Settings, 'sweep' | 'dose' | 'heldOut'> {
  const { sweep = {}, doseResponse = {}, heldOut = sweep === false ? false : {} } = options;
  const questions = splitQuestions(trait);
  const layers = options.model.checkpoint.config.layers;
  const unit = options.strengthUnit ?? steering.strengths?.unit ?? 'fraction';
  const strengths = steering.strengths?.unit === unit ? steering.strengths : defaultStrengths[unit];
  // Without questions of their own the two steps have nothing to run on; the vector alone is then the result.
  const able = questions.dose.length > 0;
  return {
    sweep:
      sweep === false || !able
        ? null
        : {
            layers: sweep.layers ?? defaultLayers(layers),
            strengths: sweep.strengths ?? strengths.sweep,
            samples: sweep.samples ?? 3,
            fine: sweep.fine ?? true,
          },
    heldOut: heldOut === false || !able ? null : { samples: heldOut.samples ?? 1 },
    dose:
      doseResponse === false || !able || (sweep === false && doseResponse.layer === undefined)
        ? null
        : {
            layer: doseResponse.layer ?? null,
            strengths: doseResponse.strengths ?? strengths.dose,
            samples: doseResponse.samples ?? Math.ceil(DOSE_ROLLOUTS / questions.dose.length),
            randomDirections: doseResponse.randomDirections ?? 20,
            randomSamples: doseResponse.randomSamples ?? Math.ceil(RANDOM_ROLLOUTS / questions.dose.length),
          },
  };
}

function check(settings: Settings<ModelFacts>, layers: number): void {
  const { sampling, sweep, dose } = settings;
  const { trait, filter } = settings;
  requireWhole('samples', settings.samples, 1);
  requireWhole('questions', settings.questions, 1, trait.questions.length);
  requireWhole('instructions', settings.instructions, 1, trait.instructions.length);
  requireWhole('maxTokens', sampling.maxTokens, 1);
  requireRange('temperature', sampling.temperature, 0, 100);
  requireRange('topP', sampling.topP, Number.MIN_VALUE, 1);
  requireWhole('seed', sampling.seed, 0);
  requireChoice('filter', filter.mode, filterModes);
  requireRange('threshold', filter.threshold, 0, 100);
  requireRange('coherenceThreshold', filter.coherence, 0, 100);
  requireRange('coherenceFloor', settings.coherenceFloor, 0, 100);
  requireChoice('pooling', settings.pooling, poolings);
  requireChoice('strengthUnit', settings.unit, strengthUnits);
  if (sweep !== null) {
    requireWhole('sweep.samples', sweep.samples, 1);
    requireList('sweep.strengths', sweep.strengths, 2);
    if (sweep.strengths.includes(0)) throw refused('sweep.strengths', 'none to be 0 (it is always run)', '0');
    requireList('sweep.layers', sweep.layers, 1);
    for (const layer of sweep.layers) requireWhole('sweep.layers', layer, 1, layers);
  }
  if (settings.heldOut !== null) requireWhole('heldOut.samples', settings.heldOut.samples, 1);
  if (dose !== null) {
    requireWhole('doseResponse.samples', dose.samples, 1);
    requireList('doseResponse.strengths', dose.strengths, 2);
    requireWhole('doseResponse.randomDirections', dose.randomDirections, 2);
    requireWhole('doseResponse.randomSamples', dose.randomSamples, 1);
    if (dose.layer !== null) requireWhole('doseResponse.layer', dose.layer, 1, layers);
  }
}

function requireWhole(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
  throw refused(name, `a whole number, ${range}`, String(value));
}

function requireRange(name: string, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return;
  throw refused(
    name,
    `a number ${least === Number.MIN_VALUE ? 'above 0' : `from ${least}`} to ${most}`,
    String(value),
  );
}

function requireChoice(name: string, value: string, choices: readonly string[]): void {
  if (!choices.includes(value)) throw refused(name, choices.join(' or '), value);
}

function requireList(name: string, values: readonly number[], least: number): void {
  const different = new Set(values);
  if (values.length >= least && different.size === values.length && values.every(Number.isFinite)) return;
  throw refused(name, `at least ${least} different finite numbers`, `[${values.join(', ')}]`);
}

function refused(name: string, expected: string, got: string): UsageError {
  return new UsageError(`Expected ${name} to be ${expected}, got ${got}.`, { details: { option: name } });
}
