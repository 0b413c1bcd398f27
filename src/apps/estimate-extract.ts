import type { Dtype, LanguageModel } from '../engine/model.ts';
import { precisionOf } from '../engine/load.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { type ExtractOptions, type Settings, settle } from '../persona/extract-options.ts';
import { type ExtractPlan, planExtract } from '../persona/extract-plans.ts';
import { encodeGiven } from '../persona/import-rollouts.ts';
import type { JudgeProvider } from '../persona/judge.ts';
import { runFiles } from '../store/run-folder.ts';
import { defined } from '../util/defined.ts';
import { freeBytes } from '../util/free-bytes.ts';
import { assemble, type CountedStep, type Estimate, type JudgeEstimate } from './estimate.ts';
import { countTexts, memoryFor, warnings, weightsToQuantise } from './estimate-parts.ts';
import { findRate, type RateOptions } from './estimate-rate.ts';
import { countRollouts, rolloutBytes } from './estimate-rollouts.ts';
import { type PriceTable, priceOf } from './judge-prices.ts';

export interface EstimateExtractOptions extends RateOptions {
  /** A model folder, or `owner/name` in the local Hugging Face cache. */
  readonly model: string;
  /** Folder of a LoRA adapter that the model is run with; see `adaptCheckpoint`. */
  readonly adapter?: string;
  readonly dtype?: Dtype;
  readonly blockSize?: 32 | 128;
  /** As they would be given to `extract`. */
  readonly extract: Omit<ExtractOptions, 'model'>;
  /** Only what measures a vector that is there; default false. */
  readonly measureOnly?: boolean;
  /** Judges' prices; see `readPrices`. */
  readonly prices?: PriceTable;
}

type PlannedModel = Pick<LanguageModel, 'checkpoint' | 'precision'>;

/**
 * What an extraction will take: rollouts and prompts are counted exactly, replies as if each were as long as allowed.
 *
 * @throws what `extract` throws for options that cannot be.
 */
export async function estimateExtract(options: EstimateExtractOptions): Promise<Estimate> {
  const { dtype, blockSize, prices } = options;
  const checkpoint = await loadCheckpoint(options.model, options.adapter);
  const model: PlannedModel = { checkpoint, precision: precisionOf(defined({ dtype, blockSize })) };
  const settings = await settle({ ...options.extract, model });
  const measureOnly = options.measureOnly ?? false;
  const plans = planExtract(settings).filter(({ step }) => !measureOnly || step !== 'rollouts');
  const given = countGiven(settings);
  const { maxTokens } = settings.sampling;
  const planned = countRollouts(
    plans.map(({ step, rollouts }) => ({ step, rollouts, maxTokens })),
    { checkpoint, trait: settings.trait, batchRows: options.extract.batchRows },
  );
  const steps = given === null ? planned : [given.step, ...planned];
  const { rate, notes } = await findRate(checkpoint, { dtype, blockSize }, options);
  const widest = steps.reduce((most, step) => (step.sideBySide > most.sideBySide ? step : most));
  const rowTokens = Math.ceil((widest.promptTokens + widest.newTokens) / Math.max(1, widest.rows));
  const memory = memoryFor(
    checkpoint,
    { dtype, blockSize, purpose: 'generate' },
    { rows: widest.sideBySide, tokens: rowTokens },
  );
  const files = [
    ...runFolder(plans, planned, settings),
    ...(await weightsToQuantise(checkpoint, { dtype, blockSize }, options.cacheFolder)),
  ];
  const disk = { files, free: await freeBytes(settings.out) };
  return assemble({
    command: measureOnly ? 'validate' : 'extract',
    model: checkpoint.id,
    precision: model.precision,
    steps,
    rate,
    memory,
    disk,
    judge: estimateJudge(settings.judge, [...(given === null ? [] : [given.judged]), ...planned], prices),
    notes: [
      ...notes,
      ...warnings({ memory, disk }),
      'Replies are counted as long as allowed; those that end sooner take less. What a stopped run has in its folder already is counted too.',
    ],
  });
}

/** What judging every reply of these steps asks of others. */
export function estimateJudge(
  judge: JudgeProvider,
  steps: readonly Pick<CountedStep, 'rows' | 'newTokens'>[],
  prices?: PriceTable,
): JudgeEstimate {
  const replies = steps.reduce((sum, { rows }) => sum + rows, 0);
  const tokens = steps.reduce((sum, { newTokens }) => sum + newTokens, 0);
  const cost = judge.estimate({ replies, replyTokens: replies === 0 ? 0 : tokens / replies });
  if (cost.calls === 0) return { ...cost, name: judge.id, dollars: 0, price: null };
  const price = priceOf(judge.id, prices);
  const dollars =
    price === null ? null : (cost.inputTokens * price.input + cost.outputTokens * price.output) / 1e6;
  return { ...cost, name: judge.id, dollars, price: price?.origin ?? null };
}

/** Rollouts made elsewhere: one pass over each, and a judgement for those without scores. */
function countGiven({ given, model, trait, keepThoughts }: Settings<PlannedModel>): {
  readonly step: CountedStep;
  readonly judged: Pick<CountedStep, 'rows' | 'newTokens'>;
} | null {
  if (given === null) return null;
  const encoded = given.rows.map((row) => encodeGiven(model.checkpoint, trait, row, keepThoughts));
  const tokens = encoded.reduce((sum, { ids }) => sum + ids.length, 0);
  const unscored = encoded.filter((row) => row.given.scores === null && !row.isEmpty);
  const replies = unscored.reduce((sum, { ids, responseStart }) => sum + ids.length - responseStart, 0);
  return {
    step: countTexts('rollouts', encoded.length, tokens),
    judged: { rows: unscored.length, newTokens: replies },
  };
}

/** Vector, report and the small files. */
const restBytes = 1e6;

function runFolder(
  plans: readonly ExtractPlan[],
  steps: readonly CountedStep[],
  { model, capture, given }: Settings<PlannedModel>,
): Estimate['disk']['files'] {
  const { layers, width } = model.checkpoint.config;
  const names = {
    rollouts: 'rollouts',
    sweep: 'sweepRollouts',
    'dose-response': 'doseRollouts',
    'held-out': 'heldOutRollouts',
  } as const;
  const texts = plans.map(({ step }, i) => ({
    name: runFiles[names[step]],
    bytes: rolloutBytes(steps[i]!),
  }));
  const sampled = plans.find(({ step }) => step === 'rollouts')?.rollouts ?? [];
  const heldOut = plans.find(({ step }) => step === 'held-out')?.rollouts ?? [];
  const captured = sampled.length + (given?.rows.length ?? 0);
  const activations = captured * capture.length * (layers + 1) * width * 4;
  const rest = restBytes + capture.length * (layers + 1) * width * 4;
  return [
    ...texts,
    { name: runFiles.activations, bytes: activations },
    ...(heldOut.length === 0
      ? []
      : [{ name: runFiles.heldOutActivations, bytes: heldOut.length * (layers + 1) * width * 4 }]),
    { name: 'everything else', bytes: rest },
  ];
}
