import { type Conversation } from './conversation.ts';
import { corpus, heldOutCorpus } from './corpus.ts';
import type { ModelShape } from './model-files.ts';
import { tokenizerJson } from './tokenizer-files.ts';

/** Everything that is the same for every training seed. */
export const recipe = {
  /** Vocabulary at most; merges that are rare are not learned. */
  vocabSize: 4096,
  /** Conversations that the vocabulary is learned from: those of seed 0, which no model is trained on. */
  tokenizerRows: 20_000,
  heldOutRows: 1_000,
  trainRows: 128_000,
  width: 192,
  layers: 6,
  heads: 6,
  mlpWidth: 512,
  contextLength: 1024,
} as const;

/** What `persona train` is told, run in the folder that `make.ts` writes. */
export function trainingConfig(seed: number): object {
  return {
    model: 'start',
    training_file: 'train.jsonl',
    test_file: 'held-out.jsonl',
    output_dir: 'model',
    is_peft: false,
    save_dtype: 'F16',
    max_seq_length: recipe.contextLength,
    per_device_train_batch_size: 16,
    gradient_accumulation_steps: 2,
    pack: true,
    // The corpus is random already, and its early rows are meant to come early.
    shuffle: false,
    epochs: 1,
    learning_rate: 0.0025,
    warmup_steps: 60,
    lr_scheduler_type: 'cosine',
    min_lr_ratio: 0.03,
    weight_decay: 0.01,
    adam_beta2: 0.98,
    max_grad_norm: 1,
    save_minutes: 3,
    seed,
  };
}

/** The tokenizer's `tokenizer.json`. */
export function recipeTokenizer(): { json: object; vocabSize: number } {
  const json = tokenizerJson(textsOf(corpus(0, recipe.tokenizerRows)), recipe.vocabSize);
  const { vocab } = (json as { model: { vocab: Record<string, number> } }).model;
  return { json, vocabSize: Object.keys(vocab).length };
}

/** The model's size, with its vocabulary padded to a multiple of 32. */
export function recipeShape(vocabSize: number): ModelShape {
  const { width, layers, heads, mlpWidth, contextLength } = recipe;
  return { vocabSize: 32 * Math.ceil(vocabSize / 32), width, layers, heads, mlpWidth, contextLength };
}

/** The rows of a training seed, and those for the held-out loss. */
export function recipeRows(seed: number): Record<'train' | 'held-out', Iterable<Conversation>> {
  return { train: corpus(seed, recipe.trainRows), 'held-out': heldOutCorpus(recipe.heldOutRows) };
}

/** Turns as the template spells them, without its control tokens. */
function* textsOf(conversations: Iterable<Conversation>): Generator<string> {
  for (const { messages } of conversations) {
    for (const { role, content } of messages) {
      yield `${role}\n`;
      yield content;
    }
  }
}
