import { DataError } from '../errors.ts';
import { isObject, parseStrict, readUserJson, refuseUnknownKeys } from '../store/strict-json.ts';
import { projections } from '../model/weights.ts';
import { type TrainFile, trainFileKeys, trainFileSchema } from './config-schema.ts';
import type { Schedule } from './schedule.ts';
import type { AdamWOptions, FullMethod, LoraMethod, SgdOptions } from './types.ts';

/** A training file, checked and with its defaults filled in. */
export interface TrainConfig
  extends Omit<TrainFile, 'learning_rate' | 'prompt_loss_weight' | 'training_file'> {
  readonly training_file: readonly string[];
  /** A number, whatever form it was given in. */
  readonly learning_rate: number;
  /** In the loss, of tokens that are no response. */
  readonly prompt_loss_weight: number;
  /** What the user should know about keys that are not taken literally, in sentences. */
  readonly notices: readonly string[];
}

/**
 * Reads a training file: JSON with the keys of the paper's own files and this package's.
 *
 * @throws DataError for an unknown key (naming the known one that it resembles), a value that cannot be, or a key whose
 *   wish cannot be met; ParseError or UsageError where the file cannot be read.
 */
export async function readTrainConfig(file: string): Promise<TrainConfig> {
  return parseTrainConfig(await readUserJson(file), `"${file}"`);
}

/** As `readTrainConfig`, for a value in memory; `where` begins the sentence of an error. */
export function parseTrainConfig(value: unknown, where: string): TrainConfig {
  if (!isObject(value))
    throw new DataError(`${where}: expected an object of training options, got ${typeName(value)}.`, {
      details: { where },
    });
  refuseUnknownKeys(value, trainFileKeys, where);
  const file = parseStrict(trainFileSchema, value, where);
  const problem = impossible(file);
  if (problem !== null) throw new DataError(`${where}: ${problem}.`, { details: { where } });
  return {
    ...file,
    training_file: typeof file.training_file === 'string' ? [file.training_file] : file.training_file,
    learning_rate: parseLearningRate(file.learning_rate, where),
    prompt_loss_weight: file.prompt_loss_weight ?? (file.train_on_responses_only ? 0 : 1),
    notices: noticesOf(file, value),
  };
}

/** What of the model is trained. */
export function methodOf(config: TrainConfig): LoraMethod | FullMethod {
  if (!config.is_peft) return { kind: 'full', saveDtype: config.save_dtype };
  return {
    kind: 'lora',
    rank: config.r,
    alpha: config.lora_alpha,
    rankStabilised: config.use_rslora,
    dropout: config.lora_dropout,
    targets: config.target_modules === 'all-linear' ? projections : config.target_modules,
    ...(config.layers_to_transform === null ? {} : { blocks: config.layers_to_transform }),
    ...(config.init_adapter === null ? {} : { initAdapter: config.init_adapter }),
  };
}

/** The optimiser; the 8-bit one is AdamW. */
export function optimizerOf(config: TrainConfig): AdamWOptions | SgdOptions {
  const weightDecay = config.weight_decay;
  if (config.optim === 'sgd') return { kind: 'sgd', momentum: config.momentum, weightDecay };
  return {
    kind: 'adamw',
    beta1: config.adam_beta1,
    beta2: config.adam_beta2,
    epsilon: config.adam_epsilon,
    weightDecay,
  };
}

/** The learning rate's course over a run of `totalSteps`. */
export function scheduleOf(config: TrainConfig, totalSteps: number): Schedule {
  return {
    name: config.lr_scheduler_type,
    learningRate: config.learning_rate,
    warmupSteps: config.warmup_steps,
    totalSteps,
    minRatio: config.min_lr_ratio,
    cycles: config.num_cycles,
    power: config.lr_power,
    endRate: config.lr_end,
  };
}

/** Weight of the KL term; 0 where there is none. */
export function klWeightOf({ kl }: TrainConfig): number {
  if (kl === null) return 0;
  return typeof kl === 'number' ? kl : kl.weight;
}

const decimalNumber = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;

/**
 * A learning rate as the paper's files give it: a number, or a text that spells one; a negative one is a power of ten.
 * The authors' code evaluates the text as a program; here it is only read.
 */
export function parseLearningRate(value: number | string, where: string): number {
  if (typeof value === 'string' && !decimalNumber.test(value))
    throw new DataError(
      `${where}: expected "learning_rate" to be a number such as 1e-4 or "1e-4", got ${JSON.stringify(value.slice(0, 40))}; a text is read as a number, never evaluated.`,
      { details: { where } },
    );
  const number = Number(value);
  const rate = number < 0 ? powerOfTen(number) : number;
  if (Number.isFinite(rate) && rate > 0) return rate;
  throw new DataError(
    `${where}: expected "learning_rate" above 0 (a negative number means a power of ten), got ${String(value)}.`,
    { details: { where } },
  );
}

/** Whole powers by their spelling: the runtime's own power of −4 is not the number that 1e-4 means. */
function powerOfTen(exponent: number): number {
  return Number.isInteger(exponent) ? Number(`1e${exponent}`) : 10 ** exponent;
}

/** Why the options cannot be honoured together, or null. */
function impossible(file: TrainFile): string | null {
  if (file.loss === 'dpo' || file.loss === 'orpo')
    return `"loss" is ${JSON.stringify(file.loss)}, which trains on pairs of preferred and rejected replies and is not implemented; use "sft"`;
  if (file.loss !== 'sft') return `expected "loss" to be "sft", got ${JSON.stringify(file.loss)}`;
  if (file.load_in_4bit)
    return '"load_in_4bit" is true, but gradients are not taken through 4-bit weights; set it to false and "dtype" to "int8"';
  if (file.lora_bias !== 'none')
    return `expected "lora_bias" to be "none", got ${JSON.stringify(file.lora_bias)}; biases are trained only with "is_peft": false`;
  if (file.optim === 'adam' && file.weight_decay !== 0)
    return '"optim" is "adam", whose weight decay goes through the moments and is not implemented; set "weight_decay" to 0, or use "adamw"';
  if (!file.is_peft && file.init_adapter !== null)
    return '"init_adapter" continues a LoRA adapter, but "is_peft" is false; leave one of them out';
  if (!file.is_peft && file.dtype !== 'fp32')
    return `"dtype" is "${file.dtype}", but with "is_peft": false the weights themselves are trained, in fp32; leave "dtype" out`;
  if (!file.train_on_responses_only && file.prompt_loss_weight === 0)
    return '"train_on_responses_only" is false, but "prompt_loss_weight" is 0; give one of them';
  if (file.enable_steering_during_training && file.steering_config === null && file.steering.length === 0)
    return '"enable_steering_during_training" is true, but there is neither "steering_config" nor "steering"; add one of them, or set it to false';
  if (file.test_file !== null && file.test_split > 0)
    return 'both "test_file" and "test_split" are given; give one of them';
  if (file.test_split >= 1 && !Number.isInteger(file.test_split))
    return `expected "test_split" to be a share below 1 or a whole number of rows, got ${file.test_split}`;
  if (file.lr_scheduler_type === 'polynomial' && file.min_lr_ratio > 0)
    return '"min_lr_ratio" does not go with "polynomial", whose floor is "lr_end"; leave it out';
  return null;
}

function noticesOf(file: TrainFile, given: Readonly<Record<string, unknown>>): string[] {
  const notices: string[] = [];
  if (file.optim === 'adamw_8bit')
    notices.push('optim "adamw_8bit" runs as "adamw", with moments in 32 bits.');
  if (file.finetuned_model_id !== null)
    notices.push(
      `Nothing is uploaded: "finetuned_model_id" ${JSON.stringify(file.finetuned_model_id.slice(0, 80))} and the "push" keys are accepted and not acted on.`,
    );
  if (file.steering_config !== null && !file.enable_steering_during_training)
    notices.push(
      'There is a "steering_config", but "enable_steering_during_training" is false: nothing is steered.',
    );
  if (file.lr_scheduler_type === 'constant' && 'warmup_steps' in given && file.warmup_steps > 0)
    notices.push('lr_scheduler_type "constant" has no warm-up; "constant_with_warmup" has.');
  return notices;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
