import { precisionOf } from '../engine/load.ts';
import type { Dtype } from '../engine/model.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { gradedPrompts } from '../persona/experiments/graded-prompts.ts';
import { monitoringMaxTokens } from '../persona/experiments/monitoring.ts';
import {
  fits,
  monitoringConditions,
  planMonitoring,
  planShots,
  shotCounts,
} from '../persona/experiments/monitoring-plan.ts';
import {
  conversationArms,
  settleSteering,
  type SteeringPlanOptions,
} from '../persona/experiments/steering.ts';
import {
  dosesOf,
  planOrdinary,
  planSteered,
  planTurn,
  planUnder,
} from '../persona/experiments/steering-plan.ts';
import type { JudgeProvider } from '../persona/judge.ts';
import { encodePrompt } from '../persona/prompt.ts';
import type { PlannedRollout } from '../persona/rollouts.ts';
import type { Trait } from '../persona/trait.ts';
import type { ScoredRollout } from '../store/rollout-schema.ts';
import { defined } from '../util/defined.ts';
import { freeBytes } from '../util/free-bytes.ts';
import { assemble, type CountedStep, type Estimate } from './estimate.ts';
import { estimateJudge } from './estimate-extract.ts';
import { countTexts, memoryFor, warnings, weightsToQuantise } from './estimate-parts.ts';
import { findRate, type RateOptions } from './estimate-rate.ts';
import { countRollouts, type PlannedStep, rolloutBytes } from './estimate-rollouts.ts';
import type { PriceTable } from './judge-prices.ts';

export interface EstimateExperimentOptions extends RateOptions {
  readonly checkpoint: Checkpoint;
  readonly trait: Trait;
  readonly judge: JudgeProvider;
  /** The run folder that it would write. */
  readonly out: string;
  readonly dtype?: Dtype | undefined;
  readonly blockSize?: 32 | 128 | undefined;
  /** Judges' prices; see `readPrices`. */
  readonly prices?: PriceTable | undefined;
}

/** What the monitoring experiment will take; exemplars, which it makes itself, are counted as long as an instruction. */
export async function estimateMonitoringExperiment(
  options: EstimateExperimentOptions & {
    readonly prompts?: readonly string[] | undefined;
    readonly samples?: number | undefined;
    readonly maxTokens?: number | undefined;
  },
): Promise<Estimate> {
  const { checkpoint, trait, samples = 10 } = options;
  const maxTokens = options.maxTokens ?? monitoringMaxTokens(checkpoint);
  const { instructions, questions } = trait;
  const exemplars = Array.from({ length: shotCounts.at(-1)! }, (_, i) => [
    { role: 'user' as const, content: questions[i % questions.length]! },
    { role: 'assistant' as const, content: instructions[i % instructions.length]!.pos },
  ]);
  const prompts = options.prompts ?? gradedPrompts(checkpoint, trait);
  const conditions = monitoringConditions(prompts, exemplars).filter((one) =>
    fits(one, { checkpoint, trait, maxTokens }),
  );
  const rollouts = planMonitoring(conditions, trait.evaluationQuestions, samples);
  const first = rollouts.filter(({ ids }) => ids['sample'] === 0);
  const states = countTexts('states before replies', first.length, tokensOf(first, options));
  return estimateRollouts('experiment monitoring', options, {
    steps: [
      { step: 'exemplars', rollouts: planShots(checkpoint, trait), maxTokens },
      { step: 'replies', rollouts, maxTokens },
    ],
    texts: [states],
    note: 'Exemplars are counted as long as an instruction.',
  });
}

/** What the steering experiment will take, if there is a subtraction that equals the cap. */
export async function estimateSteeringExperiment(
  options: EstimateExperimentOptions & SteeringPlanOptions,
): Promise<Estimate> {
  const { trait } = options;
  const settings = await settleSteering(options);
  const { maxTokens, turnTokens, turns } = settings;
  const ordinary = planOrdinary(trait, settings);
  const arms = conversationArms(settings);
  const text = 'a '.repeat(turnTokens);
  const earlier: ScoredRollout[][] = [];
  const conversation = Array.from({ length: turns }, (_, turn): PlannedStep => {
    const rollouts = planTurn(arms, earlier, settings);
    earlier.push(rollouts.map((planned) => ({ ...planned, text }) as unknown as ScoredRollout));
    return { step: `turn ${turn + 1}`, rollouts, maxTokens: turnTokens };
  });
  const conditions = dosesOf(settings).map(({ condition }) => condition);
  return estimateRollouts('experiment steering', options, {
    steps: [
      { step: 'doses', rollouts: planSteered(conditions, settings), maxTokens },
      { step: 'ordinary replies', rollouts: ordinary, maxTokens },
      { step: 'capping', rollouts: planUnder('capped', [], settings), maxTokens },
      { step: 'subtraction', rollouts: planUnder('subtracted', [], settings), maxTokens },
      ...conversation,
    ],
    texts: [
      countTexts('projections', ordinary.length, tokensOf(ordinary, options) + ordinary.length * maxTokens),
    ],
    note: 'Earlier turns of a conversation are counted as long as allowed.',
  });
}

/** What the replies of a plan will take, one after the other in one step. */
export function estimatePlannedReplies(
  command: string,
  options: EstimateExperimentOptions,
  rollouts: readonly PlannedRollout[],
  maxTokens: number = replyTokens(options.checkpoint),
): Promise<Estimate> {
  const steps = [{ step: 'replies', rollouts, maxTokens }];
  return estimateRollouts(command, options, { steps, texts: [], note: '' });
}

/** The paper's longest reply, as far as a prompt of the other half leaves room. */
function replyTokens({ config }: Checkpoint): number {
  return Math.min(1000, Math.floor(config.maxPositions / 2));
}

function tokensOf(
  rollouts: readonly PlannedRollout[],
  { checkpoint, trait }: Pick<EstimateExperimentOptions, 'checkpoint' | 'trait'>,
): number {
  return rollouts.reduce((sum, { system, question, turns = [] }) => {
    return sum + encodePrompt(checkpoint, trait, { system, question, turns }).ids.length;
  }, 0);
}

async function estimateRollouts(
  command: string,
  options: EstimateExperimentOptions,
  {
    steps: planned,
    texts,
    note,
  }: {
    readonly steps: readonly PlannedStep[];
    readonly texts: readonly CountedStep[];
    readonly note: string;
  },
): Promise<Estimate> {
  const { checkpoint, trait, judge, out, dtype, blockSize, prices } = options;
  const counted = countRollouts(planned, { checkpoint, trait });
  const { rate, notes } = await findRate(checkpoint, { dtype, blockSize }, options);
  const widest = counted.reduce((most, step) => (step.sideBySide > most.sideBySide ? step : most));
  const rowTokens = Math.ceil((widest.promptTokens + widest.newTokens) / Math.max(1, widest.rows));
  const memory = memoryFor(
    checkpoint,
    { dtype, blockSize, purpose: 'generate' },
    { rows: widest.sideBySide, tokens: rowTokens },
  );
  const files = [
    { name: out, bytes: counted.reduce((sum, step) => sum + rolloutBytes(step), 0) },
    ...(await weightsToQuantise(checkpoint, { dtype, blockSize }, options.cacheFolder)),
  ];
  const disk = { files, free: await freeBytes(out) };
  return assemble({
    command,
    model: checkpoint.id,
    precision: precisionOf(defined({ dtype, blockSize })),
    steps: [...counted, ...texts],
    rate,
    memory,
    disk,
    judge: estimateJudge(judge, counted, prices),
    notes: [
      ...notes,
      ...warnings({ memory, disk }),
      `Replies are counted as long as allowed; those that end sooner take less.${note === '' ? '' : ` ${note}`}`,
    ],
  });
}
