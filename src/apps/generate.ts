import { adaptedModel } from '../engine/adapted-model.ts';
import { planInterventions } from '../engine/interventions.ts';
import { loadFromCheckpoint } from '../engine/load.ts';
import type { Dtype, LanguageModel, LoadOptions } from '../engine/model.ts';
import type {
  FinishReason,
  GenerateOptions,
  GenerateRow,
  Intervention,
  TokenEvent,
} from '../engine/types.ts';
import { DataError, EngineError } from '../errors.ts';
import { encodeChat, encodeRawPrompt } from '../model/chat.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { defined } from '../util/defined.ts';
import { steeredHistory } from '../persona/steering/history.ts';
import { resolveSteering } from '../persona/steering/resolve.ts';
import type { SteeringSpec } from '../persona/steering/spec.ts';
import { requireTokenizer } from './messages.ts';

/** What is to be continued: ids as they are, raw text (BOS as the tokenizer adds it), or a conversation. */
export type GenerateInput =
  | { readonly ids: readonly number[] }
  | { readonly prompt: string }
  | { readonly messages: readonly ChatMessage[] };

export interface GenerateTextOptions {
  /** A model folder, `owner/name` in the local Hugging Face cache, or a loaded model, which stays open. */
  readonly model: string | LanguageModel;
  readonly input: GenerateInput;
  /** Default: 256, or what the prompt leaves of the model's context. */
  readonly maxTokens?: number;
  /** 0, the default, is greedy. */
  readonly temperature?: number;
  /** Keep the smallest set of tokens whose probability reaches this; default 1 keeps all. */
  readonly topP?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Keep this many of the most likely tokens; default 0 keeps all. */
  readonly topK?: number;
  /** Keep tokens at least this many times as likely as the most likely one; default 0 keeps all. */
  readonly minP?: number;
  /** Above 1 makes tokens that have occurred less likely to come again; default 1. */
  readonly repetitionPenalty?: number;
  /** Strings that end the reply and are not part of it. */
  readonly stop?: readonly string[];
  /** Of the model's weights, where it is named by its folder; default `fp32`. */
  readonly dtype?: Dtype;
  /** Weights that share a scale, for `int8` and `int4`; default 32. */
  readonly blockSize?: 32 | 128;
  /** Takes lines about the loading of the model that a user should see. */
  readonly onNotice?: (message: string) => void;
  /** Go on after an end-of-turn token. */
  readonly ignoreEos?: boolean;
  /** Folder of a LoRA adapter that the model is run with; see `adaptCheckpoint`. */
  readonly adapter?: string;
  readonly interventions?: readonly Intervention[];
  /** Steers by vectors that are named; acts after `interventions`. */
  readonly steering?: SteeringSpec;
  /** Called with the text as it comes, in whole characters; never where the model has no tokenizer. */
  readonly onText?: (text: string) => void;
  readonly signal?: AbortSignal;
}

export interface GeneratedText {
  /** New tokens, without the end-of-turn token. */
  readonly ids: readonly number[];
  /** Null where the model has no tokenizer. */
  readonly text: string | null;
  readonly finishReason: FinishReason;
  /** What was changed in the interventions on the way, in sentences. */
  readonly notes: readonly string[];
}

/** New tokens where nobody names a number: 256, or what the prompt leaves of the context. */
export function defaultMaxTokens({ config }: Pick<Checkpoint, 'config'>, promptTokens: number): number {
  return Math.min(256, config.maxPositions - promptTokens);
}

/**
 * Continues one prompt.
 *
 * @throws UsageError, DataError or ModelError for input that cannot be run, before any weight is loaded.
 */
export async function generate(options: GenerateTextOptions): Promise<GeneratedText> {
  const { model: named, adapter } = options;
  const given =
    typeof named === 'string' || adapter === undefined ? named : await adaptedModel(named, adapter);
  const checkpoint = typeof given === 'string' ? await loadCheckpoint(given, adapter) : given.checkpoint;
  const { row, notes } = await steeredRow(options, checkpoint);
  const engineOptions = toEngineOptions(options, checkpoint, row.ids.length);
  const model =
    typeof given === 'string' ? await loadFromCheckpoint(checkpoint, loadOptions(options)) : given;
  try {
    for await (const result of model.generate([row], engineOptions)) {
      return { ids: result.ids, text: result.text, finishReason: result.finishReason, notes };
    }
  } finally {
    if (model !== given) await model.close();
  }
  throw new EngineError('expected one result from the engine, got none');
}

/** The prompt as the engine takes it, with what steers it, and what a user should know of that in sentences. */
async function steeredRow(
  { input, interventions = [], steering }: GenerateTextOptions,
  checkpoint: Checkpoint,
): Promise<{ readonly row: GenerateRow; readonly notes: readonly string[] }> {
  const resolved = steering === undefined ? null : await resolveSteering(steering, checkpoint);
  const all = [...interventions, ...(resolved?.interventions ?? [])];
  const { notes } = planInterventions(all, checkpoint.config, checkpoint.tokenizer !== null);
  return {
    row: { ...encodePrompt(input, checkpoint, resolved?.history), interventions: all },
    notes: [...new Set([...(resolved?.notes ?? []), ...notes])],
  };
}

/** The prompt's ids; of a conversation whose history is steered, earlier replies are marked. Errors as `encodeInput`. */
export function encodePrompt(
  input: GenerateInput,
  checkpoint: Checkpoint,
  history: SteeringSpec['history'] = 'clean',
): Pick<GenerateRow, 'ids' | 'steeredReplies'> {
  if (history === 'clean' || !('messages' in input)) return { ids: encodeInput(input, checkpoint) };
  return steeredHistory(checkpoint, input.messages);
}

function loadOptions({ dtype, blockSize, onNotice }: GenerateTextOptions): LoadOptions {
  return { purpose: 'generate', ...defined({ dtype, blockSize, onNotice }) };
}

/** The prompt's ids; DataError where there are none, or where one is not of the model. */
export function encodeInput(input: GenerateInput, checkpoint: Checkpoint): readonly number[] {
  const ids = 'ids' in input ? input.ids : encodeText(input, checkpoint);
  if (ids.length === 0)
    throw new DataError('Expected a prompt of at least one token, got an empty one; give some text.');
  const { vocabSize } = checkpoint.config;
  const stranger = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (stranger === undefined) return ids;
  throw new DataError(
    `Expected token ids from 0 to ${vocabSize - 1}, got ${stranger}; they may come from another tokenizer.`,
    { details: { id: stranger, vocabSize } },
  );
}

function encodeText(input: Exclude<GenerateInput, { ids: unknown }>, checkpoint: Checkpoint): number[] {
  if ('messages' in input) return encodeChat(checkpoint, input.messages).ids;
  return encodeRawPrompt(requireTokenizer(checkpoint, 'The prompt'), input.prompt);
}

function toEngineOptions(
  options: GenerateTextOptions,
  checkpoint: Checkpoint,
  promptTokens: number,
): GenerateOptions {
  const context = checkpoint.config.maxPositions;
  if (promptTokens >= context) {
    throw new DataError(
      `Expected a prompt that leaves room in the model's context of ${context} tokens, got ${promptTokens}; shorten it.`,
      { details: { context, promptTokens } },
    );
  }
  const { temperature, topP, topK, minP, repetitionPenalty, stop, seed, ignoreEos, onText, signal } = options;
  const onToken = onText === undefined ? undefined : (event: TokenEvent): void => passOn(event.text, onText);
  const maxTokens = options.maxTokens ?? defaultMaxTokens(checkpoint, promptTokens);
  const sampling = defined({ temperature, topP, topK, minP, repetitionPenalty, stop, seed });
  return { ...sampling, ...defined({ maxTokens, ignoreEos, onToken, signal }) };
}

/** A token may let nothing through, such as the first half of a character. */
function passOn(text: string, onText: (text: string) => void): void {
  if (text !== '') onText(text);
}
