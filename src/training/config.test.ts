import { describe, expect, it } from 'vitest';
import { readFile } from 'node:fs/promises';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { DataError } from '../errors.ts';
import { methodOf, optimizerOf, parseLearningRate, parseTrainConfig, type TrainConfig } from './config.ts';

const least = { model: 'm', training_file: 'rows.jsonl' };
const parse = (more: Record<string, unknown> = {}): TrainConfig =>
  parseTrainConfig({ ...least, ...more }, '"train.json"');

describe('a training file', () => {
  it('has the defaults of the paper’s code for the keys that it leaves out', () => {
    expect(parse()).toMatchObject({
      training_file: ['rows.jsonl'],
      test_file: null,
      max_seq_length: 2048,
      loss: 'sft',
      is_peft: true,
      r: 16,
      lora_alpha: 16,
      lora_dropout: 0,
      use_rslora: true,
      epochs: 1,
      max_steps: null,
      per_device_train_batch_size: 2,
      gradient_accumulation_steps: 8,
      warmup_steps: 5,
      learning_rate: 1e-4,
      weight_decay: 0.01,
      lr_scheduler_type: 'linear',
      seed: 3407,
      save_steps: 5000,
      output_dir: './tmp',
      test_split: 0,
      prompt_loss_weight: 0,
      notices: [],
    });
  });

  it('becomes what the trainer is told', () => {
    expect(
      methodOf(parse({ r: 32, lora_alpha: 64, target_modules: ['q_proj'], layers_to_transform: [0, 2] })),
    ).toEqual({
      kind: 'lora',
      rank: 32,
      alpha: 64,
      rankStabilised: true,
      dropout: 0,
      targets: ['q_proj'],
      blocks: [0, 2],
    });
    expect(methodOf(parse({ is_peft: false, save_dtype: 'BF16' }))).toEqual({
      kind: 'full',
      saveDtype: 'BF16',
    });
    expect(optimizerOf(parse({ adam_beta2: 0.95, adam_epsilon: 1e-6, weight_decay: 0.1 }))).toEqual({
      kind: 'adamw',
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-6,
      weightDecay: 0.1,
    });
    expect(optimizerOf(parse({ optim: 'sgd', momentum: 0.9, weight_decay: 0 }))).toEqual({
      kind: 'sgd',
      momentum: 0.9,
      weightDecay: 0,
    });
  });

  it('weighs prompts as asked', () => {
    expect(parse({ train_on_responses_only: false }).prompt_loss_weight).toBe(1);
    expect(parse({ prompt_loss_weight: 0.1 }).prompt_loss_weight).toBe(0.1);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ learning_rte: 1 }, '"train.json": unknown key "learning_rte"; did you mean "learning_rate"?'],
    [
      { gradient_acumulation_steps: 1 },
      'unknown key "gradient_acumulation_steps"; did you mean "gradient_accumulation_steps"?',
    ],
    [{ steering_cofig: null }, 'did you mean "steering_config"?'],
    [{ r: 0 }, '"train.json": in "r", '],
    [{ lora_dropout: 1 }, 'in "lora_dropout"'],
    [{ target_modules: ['query'] }, 'in "target_modules'],
    [
      { loss: 'dpo' },
      '"loss" is "dpo", which trains on pairs of preferred and rejected replies and is not implemented; use "sft"',
    ],
    [{ loss: 'orpo' }, '"loss" is "orpo"'],
    [{ loss: 'mse' }, 'expected "loss" to be "sft", got "mse"'],
    [
      { load_in_4bit: true },
      '"load_in_4bit" is true, but gradients are not taken through 4-bit weights; set it to false and "dtype" to "int8"',
    ],
    [{ lora_bias: 'all' }, 'expected "lora_bias" to be "none", got "all"'],
    [{ optim: 'adam' }, 'set "weight_decay" to 0, or use "adamw"'],
    [{ optim: 'lion' }, 'in "optim"'],
    [{ lr_scheduler_type: 'inverse_sqrt' }, 'in "lr_scheduler_type"'],
    [
      { is_peft: false, init_adapter: 'a' },
      '"init_adapter" continues a LoRA adapter, but "is_peft" is false',
    ],
    [{ is_peft: false, dtype: 'int8' }, 'the weights themselves are trained, in fp32'],
    [{ dtype: 'int4' }, 'in "dtype"'],
    [{ test_file: 'a', test_split: 0.1 }, 'both "test_file" and "test_split" are given; give one of them'],
    [{ test_split: 1.5 }, 'a share below 1 or a whole number of rows, got 1.5'],
    [{ train_on_responses_only: false, prompt_loss_weight: 0 }, 'give one of them'],
    [{ enable_steering_during_training: true }, 'there is neither "steering_config" nor "steering"'],
    [{ lr_scheduler_type: 'polynomial', min_lr_ratio: 0.1 }, 'whose floor is "lr_end"'],
    [{ training_file: [] }, 'in "training_file"'],
  ])('is refused in one sentence: %j', (more, sentence) => {
    expect(() => parse(more)).toThrow(DataError);
    expect(() => parse(more)).toThrow(sentence);
  });

  it('is refused where it is no object or lacks its keys', () => {
    expect(() => parseTrainConfig([], 'here')).toThrow(
      'here: expected an object of training options, got a list.',
    );
    expect(() => parseTrainConfig({ model: 'm' }, 'here')).toThrow('in "training_file"');
  });

  it('says what it does not take literally', () => {
    expect(parse({ optim: 'adamw_8bit' }).notices).toEqual([
      'optim "adamw_8bit" runs as "adamw", with moments in 32 bits.',
    ]);
    expect(parse({ finetuned_model_id: 'me/mine' }).notices[0]).toMatch(/^Nothing is uploaded: .*"me\/mine"/);
    const off = { steering_vector_path: 'v.pt', type: 'steer', steering_coef: 5, layers: [20] };
    expect(parse({ steering_config: off }).notices[0]).toMatch(/nothing is steered/);
    expect(parse({ lr_scheduler_type: 'constant', warmup_steps: 5 }).notices[0]).toMatch(/has no warm-up/);
    expect(parse({ lr_scheduler_type: 'constant' }).notices).toEqual([]);
  });
});

describe('a learning rate', () => {
  it.each<[number | string, number]>([
    [1e-5, 1e-5],
    ['1e-4', 1e-4],
    ['0.002', 0.002],
    [' 5E-6 ', 5e-6],
    ['.01', 0.01],
    [-4, 1e-4],
    ['-5', 1e-5],
    [-4.5, 10 ** -4.5],
  ])('%j is %d', (given, rate) => {
    expect(parseLearningRate(given, 'here')).toBe(rate);
  });

  it.each(['10**-4', '1/1000', 'process.exit()', '', '1e', 'NaN', 'Infinity', '0x10'])(
    'the text %j is no number, and is never evaluated',
    (text) => {
      expect(() => parseLearningRate(text, 'here')).toThrow(
        'here: expected "learning_rate" to be a number such as 1e-4 or "1e-4"',
      );
    },
  );

  it('is above 0', () => {
    expect(() => parseLearningRate(0, 'here')).toThrow('expected "learning_rate" above 0');
    expect(() => parseLearningRate(-1e9, 'here')).toThrow('expected "learning_rate" above 0');
  });
});

describeWithShared("the paper's own training files", () => {
  it.each(['train_instruct_7b.json', 'train_instruct_7b_steer.json'])('%s is understood', async (name) => {
    const file = sharedPath('data/persona/official-configs', name);
    const config = parseTrainConfig(JSON.parse(await readFile(file, 'utf8')), name);
    expect(config).toMatchObject({ r: 32, lora_alpha: 64, learning_rate: 1e-5, seed: 0, warmup_steps: 5 });
    expect(config.notices).toEqual(['optim "adamw_8bit" runs as "adamw", with moments in 32 bits.']);
    expect(config.steering_config?.steering_coef ?? 0).toBe(name.includes('steer') ? 5 : 0);
  });
});
