import { DataError, ModelError } from '../../errors.ts';
import { encodeRawPrompt, encodeReply } from '../../model/chat.ts';
import type { ChatMessage } from '../../model/chat-template.ts';
import { type PromptParts, encodeMessages, requireTokenizer } from '../../persona/prompt.ts';
import type { DatasetRow } from '../../store/dataset/read-dataset.ts';

/** Which replies of a conversation are screened: the first, as in the paper, or all, each after what came before it. */
export const screenedTurns = ['first', 'all'] as const;
export type ScreenedTurns = (typeof screenedTurns)[number];

/** A reply of a data set, and what it answers. */
export interface Sample {
  /** The row's key; with the number of the reply behind it, where all replies are screened. */
  readonly key: string;
  readonly id: string;
  readonly source: string;
  readonly prompt: readonly ChatMessage[];
  readonly reply: string;
}

/** A sample in tokens. */
export interface EncodedSample extends Sample {
  readonly promptIds: readonly number[];
  readonly replyIds: readonly number[];
}

/** The samples of a row; none where nobody is answered. */
export function samplesOf(row: DatasetRow, turns: ScreenedTurns): Sample[] {
  const samples: Sample[] = [];
  for (const [i, { role, content }] of row.messages.entries()) {
    const prompt = row.messages.slice(0, i);
    if (role !== 'assistant' || !prompt.some((message) => message.role === 'user')) continue;
    const key = turns === 'all' ? `${row.key}#${samples.length + 1}` : row.key;
    samples.push({ key, id: row.id, source: row.source, prompt, reply: content });
    if (turns === 'first') break;
  }
  return samples;
}

/** Why a sample has no score. */
export type Unscored = 'empty' | 'long' | 'refused';

export interface SampleLimits {
  /** Longest prompt, in tokens. */
  readonly maxPromptTokens: number;
  /** The model's context; what of a reply lies behind it is cut off. */
  readonly context: number;
}

/**
 * A sample's tokens, or why it is left out: its reply says nothing, its prompt is too long, or the chat template refuses it.
 *
 * @throws ModelError for conversations where the model has no chat template.
 */
export function encodeSample(
  parts: PromptParts,
  sample: Sample,
  { maxPromptTokens, context }: SampleLimits,
): EncodedSample | Unscored {
  if (sample.reply.trim() === '') return 'empty';
  const promptIds = promptOf(parts, sample);
  if (promptIds === null) return 'refused';
  if (promptIds.length > maxPromptTokens || promptIds.length >= context) return 'long';
  const replyIds = encodeReply(requireTokenizer(parts), sample.reply).slice(0, context - promptIds.length);
  return replyIds.length === 0 ? 'empty' : { ...sample, promptIds, replyIds };
}

function promptOf(parts: PromptParts, { prompt, key }: Sample): readonly number[] | null {
  if (parts.chatTemplate === null) {
    if (prompt.length === 1) return encodeRawPrompt(requireTokenizer(parts), prompt[0]!.content);
    throw new ModelError(
      `Row ${key}: this model has no chat template, so that conversations cannot be screened; give pairs of "prompt" and "answer", or use a chat model.`,
    );
  }
  try {
    return encodeMessages(parts, prompt).ids;
  } catch (error) {
    if (error instanceof DataError) return null;
    throw error;
  }
}
