import { join } from 'node:path';
import type { LanguageModel } from '../../engine/model.ts';
import type { Intervention, Positions } from '../../engine/types.ts';
import { UsageError } from '../../errors.ts';
import { checkpointFingerprint } from '../../model/fingerprint.ts';
import { thinkTokensOf } from '../../model/thinking.ts';
import type { ScoredRollout } from '../../store/rollout-schema.ts';
import { type OpenFolder, openFolder, turnFile } from '../../store/run-folder.ts';
import { directionHash } from '../../training/directions.ts';
import { chunksOf } from '../../util/chunks.ts';
import { type Measured, measuredOf } from '../condition.ts';
import type { JudgeProvider } from '../judge.ts';
import { readModelNote } from '../model-note.ts';
import { distributionOf } from '../projection/baseline.ts';
import { projectRows } from '../projection/project.ts';
import { toProjectionRow } from '../projection/rows.ts';
import { type Watched, watch } from '../projection/watch.ts';
import { encodePrompt, systemTexts } from '../prompt.ts';
import type { Sampling } from '../rollouts.ts';
import { type StrengthUnit, coefficientOf } from '../strength.ts';
import type { Trait } from '../trait.ts';
import type { PersonaVector } from '../vector.ts';
import { plannedRollouts } from './planned-rollouts.ts';
import {
  type ConversationArm,
  type Dose,
  type SteeringSettings,
  dosesOf,
  planOrdinary,
  planSteered,
  planTurn,
  planUnder,
} from './steering-plan.ts';
import { renderSteeringReport } from './steering-report.ts';
import {
  type DosePoint,
  type Treatment,
  type TurnPoint,
  changeOf,
  dosePoints,
  equalStrength,
  rankOfSide,
  turnPoints,
} from './steering-results.ts';

export interface SteeringExperimentOptions {
  readonly model: LanguageModel;
  readonly trait: Trait;
  readonly vector: PersonaVector;
  readonly judge: JudgeProvider;
  /** Run folder; a stopped run in it is continued. */
  readonly out: string;
  /** 1 … L; default: the vector's recommended layer. */
  readonly layer?: number | undefined;
  /** Where the vector is added; default: what the model's folder recommends, else `response`. */
  readonly positions?: Positions | undefined;
  readonly strengthUnit?: StrengthUnit | undefined;
  /** Above 0; default: the model's, else 0.1, 0.2 and 0.4 as fractions and 0.5, 1, 1.5 and 2 as coefficients. */
  readonly strengths?: readonly number[] | undefined;
  /** Of ordinary reply tokens, at which the projection is capped; default 75. */
  readonly percentile?: number | undefined;
  /** Replies to a question under a condition, and conversations that begin with it; default 5. */
  readonly samples?: number | undefined;
  /** Turns of a conversation; default 8. */
  readonly turns?: number | undefined;
  /** Coefficient of the vector in conversations; default: its recommended one, else the highest strength. */
  readonly turnCoef?: number | undefined;
  /** Longest reply; default 1000, at most half the context, and in conversations as long as all turns fit into it. */
  readonly maxTokens?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((step: string, done: number, total: number) => void) | undefined;
}

export interface SteeringExperiment {
  readonly trait: string;
  readonly model: string;
  readonly layer: number;
  readonly pooling: string;
  readonly positions: Positions;
  readonly unit: StrengthUnit;
  readonly samples: number;
  /** −α on the prompted model, +α on the neutral one, and random directions of the same norm. */
  readonly doses: readonly DosePoint[];
  /** Spearman's correlation of strength and score, by side. */
  readonly spearman: { readonly prompted: number | null; readonly neutral: number | null };
  readonly cap: {
    readonly percentile: number;
    /** The projection at it, over the tokens of ordinary replies. */
    readonly threshold: number;
    /** Tokens of ordinary replies that it was found on. */
    readonly tokens: number;
    /** Strength of the subtraction that should suppress as much; null where none among the doses does. */
    readonly equal: number | null;
    readonly treatments: readonly Treatment[];
  };
  readonly conversations: {
    readonly coef: number;
    readonly points: readonly TurnPoint[];
  };
  readonly notes: readonly string[];
}

const fallbackStrengths: Readonly<Record<StrengthUnit, readonly number[]>> = {
  fraction: [0.1, 0.2, 0.4],
  coef: [0.5, 1, 1.5, 2],
  norm: [],
};

/**
 * What steering does to a model that shows a trait and to one that does not: dose by dose, by capping and by subtraction of
 * equal suppression, and over the turns of conversations whose history is read clean or steered.
 *
 * @throws UsageError for a trait without evaluation questions, a base model or strengths that cannot be; StoreError for a
 *   folder of another run.
 */
export async function steeringExperiment(options: SteeringExperimentOptions): Promise<SteeringExperiment> {
  const settings = await settleSteering(options);
  const { layer, positions, unit, strengths, samples, seed, turns } = settings;
  const { model, trait, vector, percentile = 75 } = options;
  const folder = await openFolder(options.out, {
    experiment: 'steering',
    model: model.checkpoint.id,
    fingerprint: await checkpointFingerprint(model.checkpoint),
    precision: model.precision,
    adapter: model.adapter?.sha256 ?? null,
    trait: trait.sha256,
    judge: options.judge.id,
    vector: directionHash(vector.row(layer)),
    layer,
    positions,
    unit,
    strengths,
    percentile,
    samples,
    turns,
    turn_coef: settings.turnCoef,
    max_tokens: settings.maxTokens,
    turn_tokens: settings.turnTokens,
    seed,
  });
  try {
    const scene: Scene = {
      ...options,
      settings,
      folder,
      sampling: { maxTokens: settings.maxTokens, temperature: 1, topP: 1, seed },
    };
    const { rows, doses, points } = await runDoses(scene);
    const cap = await compareCap(scene, { rows, doses, points, percentile });
    const conversations = await converse(scene);
    const result: SteeringExperiment = {
      trait: trait.name,
      model: model.checkpoint.id,
      layer,
      pooling: vector.metadata.pooling,
      positions,
      unit,
      samples,
      doses: points,
      spearman: { prompted: rankOfSide(points, 'prompted'), neutral: rankOfSide(points, 'neutral') },
      cap,
      conversations,
      notes: notesOf(cap),
    };
    await folder.writeJson('steering', result);
    await folder.writeText('report', renderSteeringReport(result));
    return result;
  } finally {
    await folder.close();
  }
}

export interface SettledSteering extends SteeringSettings {
  readonly turns: number;
  readonly maxTokens: number;
  /** Longest reply in a conversation. */
  readonly turnTokens: number;
  readonly turnCoef: number;
  readonly watched: Watched;
}

interface Scene extends SteeringExperimentOptions {
  readonly settings: SettledSteering;
  readonly folder: OpenFolder;
  readonly sampling: Sampling;
}

/** What of the options decides the plans. */
export type SteeringPlanOptions = Omit<
  SteeringExperimentOptions,
  'model' | 'judge' | 'out' | 'signal' | 'onProgress'
> & { readonly model: Pick<LanguageModel, 'checkpoint'> };

/** Fills in the defaults; UsageError for options that cannot be. */
export async function settleSteering(options: SteeringPlanOptions): Promise<SettledSteering> {
  const { model, trait, vector, samples = 5, seed = 0, turns = 8 } = options;
  const { checkpoint } = model;
  if (trait.evaluationQuestions.length === 0)
    throw new UsageError(
      `Expected trait "${trait.name}" to have evaluation questions, got none; add some to its file.`,
    );
  if (checkpoint.chatTemplate === null)
    throw new UsageError(
      `Expected a chat model, since system prompts and turns are varied; ${checkpoint.id} is none.`,
    );
  const watched = watch(vector, checkpoint, { layer: options.layer });
  const { steering } = await readModelNote(checkpoint.folder);
  const unit = options.strengthUnit ?? steering.strengths?.unit ?? 'fraction';
  const usual = steering.strengths?.unit === unit ? steering.strengths.sweep : fallbackStrengths[unit];
  const strengths = [...(options.strengths ?? usual.filter((strength) => strength > 0))];
  strengths.sort((a, b) => a - b);
  if (strengths.length === 0 || strengths.some((strength) => !(strength > 0)))
    throw new UsageError(
      `Expected strengths above 0, got [${strengths.join(', ')}]; they are turned round by themselves.`,
    );
  const { maxPositions } = checkpoint.config;
  const maxTokens = options.maxTokens ?? Math.min(1000, Math.floor(maxPositions / 2));
  const room = Math.floor(maxPositions / turns) - LONGEST_QUESTION;
  const highest = coefficientOf(vector, watched.layer, strengths.at(-1)!, unit);
  return {
    vector,
    watched,
    layer: watched.layer,
    positions: options.positions ?? steering.positions ?? 'response',
    unit,
    strengths,
    systems: systemTexts(checkpoint, trait).pos,
    questions: trait.evaluationQuestions.map((text, index) => ({ index, text })),
    samples,
    seed,
    turns,
    maxTokens,
    turnTokens: Math.min(maxTokens, Math.max(16, room)),
    turnCoef: options.turnCoef ?? vector.metadata.recommendedStrength ?? highest,
  };
}

/** Tokens that a question and the marks around a turn may take. */
const LONGEST_QUESTION = 48;

interface Doses {
  readonly doses: readonly Dose[];
  readonly rows: readonly ScoredRollout[];
  readonly points: readonly DosePoint[];
}

async function runDoses(scene: Scene): Promise<Doses> {
  const { settings, folder } = scene;
  const doses = dosesOf(settings);
  const plan = planSteered(
    doses.map(({ condition }) => condition),
    settings,
  );
  const rows = await plannedRollouts(scene, folder.file('doseRollouts'), 'doses', plan);
  return { doses, rows, points: dosePoints(doses, rows, settings.samples) };
}

/** A cap where ordinary replies seldom reach, and the subtraction that suppresses the persona as much. */
async function compareCap(
  scene: Scene,
  { doses, rows, points, percentile }: Doses & { readonly percentile: number },
): Promise<SteeringExperiment['cap']> {
  const { settings, folder } = scene;
  const { layer, watched, positions, vector, unit, samples } = settings;
  const { threshold, tokens } = await calibrateCap(scene, percentile);
  const capped: Intervention[] = [
    { layer, vector: watched.vector, max: threshold, positions: CAP_POSITIONS },
  ];
  const plan = planUnder('capped', capped, settings);
  const treated = await plannedRollouts(scene, folder.file('treated'), 'capping', plan);
  const unsteered = (side: Dose['side']): readonly ScoredRollout[] => {
    const each = rows.length / doses.length;
    const at = doses.findIndex((dose) => dose.side === side && dose.direction === 'none');
    return rows.slice(at * each, (at + 1) * each);
  };
  const treatment = (name: string, both: readonly ScoredRollout[]): Treatment => {
    const [prompted, ordinary] = chunksOf(both, both.length / 2) as [ScoredRollout[], ScoredRollout[]];
    const change = changeOf(ordinary, unsteered('neutral'));
    return {
      name,
      prompted: measure(prompted, samples),
      ordinary: { ...measure(ordinary, samples), ...change },
    };
  };
  const none = treatment('none', [...unsteered('prompted'), ...unsteered('neutral')]);
  const cap = treatment('cap', treated);
  const equal = cap.prompted.score === null ? null : equalStrength(points, cap.prompted.score);
  const treatments = [none, cap];
  if (equal !== null && equal !== 0) {
    const coef = coefficientOf(vector, layer, equal, unit);
    const added = planUnder('subtracted', [{ layer, vector: watched.vector, coef, positions }], settings);
    treatments.push(
      treatment('subtract', await plannedRollouts(scene, folder.file('equal'), 'subtraction', added)),
    );
  }
  return { percentile, threshold, tokens, equal, treatments };
}

/** A cap has to hold everywhere: what it lets pass elsewhere comes back. */
const CAP_POSITIONS: Positions = 'response';

function measure(rows: readonly ScoredRollout[], samples: number): Measured {
  return measuredOf(
    rows.map(({ scores }) => scores),
    samples,
  );
}

/** The percentile over the tokens of ordinary replies: to the extraction's questions, without a system prompt. */
async function calibrateCap(
  scene: Scene,
  percentile: number,
): Promise<{ readonly threshold: number; readonly tokens: number }> {
  const { model, trait, settings, folder, signal } = scene;
  const plan = planOrdinary(trait, settings);
  const rows = await plannedRollouts(scene, folder.file('ordinary'), 'ordinary replies', plan);
  const think = thinkTokensOf(model.checkpoint.tokenizer);
  const inputs = rows.map(({ question, response_ids: reply }) => {
    const { ids } = encodePrompt(model.checkpoint, trait, { system: null, question });
    return toProjectionRow([...ids, ...reply], ids.length, think);
  });
  const values: Float32Array[] = [];
  for await (const { index, tokens } of projectRows(model, [settings.watched], inputs, { signal })) {
    const { start, end } = inputs[index]!.turns[0]!;
    values[index] = tokens.subarray(start, end);
  }
  const all = values.flatMap((one) => [...one]);
  const { percentiles } = distributionOf(all);
  return { threshold: percentiles[Math.round(2 * percentile)]!, tokens: all.length };
}

/** Unsteered, steered with either history, and prompted. */
export function conversationArms(settings: SettledSteering): ConversationArm[] {
  const { layer, watched, positions, systems, turnCoef: coef } = settings;
  const steered: Intervention[] = [{ layer, vector: watched.vector, coef, positions }];
  return [
    { id: 'unsteered', history: 'clean', system: null, interventions: [] },
    { id: 'clean history', history: 'clean', system: null, interventions: steered },
    { id: 'steered history', history: 'steered', system: null, interventions: steered },
    { id: 'prompted', history: 'clean', system: systems[0]!, interventions: [] },
  ];
}

/** Conversations, turn by turn. */
async function converse(scene: Scene): Promise<SteeringExperiment['conversations']> {
  const { settings, folder } = scene;
  const { samples, turns, turnCoef: coef } = settings;
  const short = { ...scene, sampling: { ...scene.sampling, maxTokens: settings.turnTokens } };
  const arms = conversationArms(settings);
  const earlier: (readonly ScoredRollout[])[] = [];
  const points: TurnPoint[] = [];
  for (let turn = 1; turn <= turns; turn++) {
    const plan = planTurn(arms, earlier, settings);
    const file = join(folder.path, turnFile(turn));
    const rows = await plannedRollouts(short, file, `turn ${turn} of ${turns}`, plan);
    earlier.push(rows);
    points.push(
      ...turnPoints(
        arms.map(({ id }) => id),
        rows,
        turn,
        samples,
      ),
    );
  }
  return { coef, points };
}

function notesOf({ equal, treatments }: SteeringExperiment['cap']): string[] {
  if (equal !== null && equal !== 0) return [];
  const [none, cap] = treatments;
  return [
    `no subtraction among the doses leaves the prompted model at the cap's ${cap?.prompted.score?.toFixed(1) ?? '–'} (unsteered ${none?.prompted.score?.toFixed(1) ?? '–'}), so there is none to compare with`,
  ];
}
