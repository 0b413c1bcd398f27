import { UsageError } from '../errors.ts';
import { type ChatOptions, encodeChat, encodePlain } from '../model/chat.ts';
import type { ChatMessage, ChatTemplate } from '../model/chat-template.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { thinkTokensOf } from '../model/thinking.ts';
import type { TextTokenizer } from '../model/tokenizer.ts';
import { sha256 } from '../util/hash.ts';
import type { Pole } from './poles.ts';
import type { Trait } from './trait.ts';

/** What of a checkpoint decides how prompts are spelled. */
export type PromptParts = Pick<Checkpoint, 'id' | 'tokenizer' | 'chatTemplate'>;

/** A question as it is put to a model. */
export interface Prompt {
  readonly ids: readonly number[];
  /** Whether the system text stands in the user's turn, because the chat template takes no system message. */
  readonly systemMerged: boolean;
}

/** For a base model where the trait file has no `template`. */
export const DEFAULT_PLAIN_TEMPLATE = '{system}\n\n{question}\n\n';

/**
 * A trait's instructions as this model is given them. A chat model is first told, as in the paper's code, what kind
 * of assistant it is: the trait's adjective for the positive pole, its opposite (or "helpful") for the negative
 * one. A base model is given the bare instruction.
 */
export function systemTexts(parts: PromptParts, trait: Trait): Record<Pole, string[]> {
  const textsOf = (pole: Pole): string[] => {
    const name = pole === 'pos' ? trait.name : (trait.opposite ?? 'helpful');
    const role = `You are ${/^[aeiou]/i.test(name) ? 'an' : 'a'} ${name} assistant.`;
    return trait.instructions.map((pair) =>
      parts.chatTemplate === null ? pair[pole] : `${role} ${pair[pole]}`,
    );
  };
  return { pos: textsOf('pos'), neg: textsOf('neg') };
}

/**
 * Ids of a question under an instruction, or under none. A chat template is used where the model has one, with thinking
 * off where the template knows how; else the trait's plain template.
 *
 * @throws UsageError for a model without a tokenizer; DataError where the template refuses.
 */
export function encodePrompt(
  parts: PromptParts,
  trait: Trait,
  text: {
    readonly system: string | null;
    readonly question: string;
    /** Turns between the two; UsageError for a base model, whose prompts have no turns. */
    readonly turns?: readonly ChatMessage[];
  },
): Prompt {
  const tokenizer = requireTokenizer(parts);
  const { turns = [] } = text;
  if (parts.chatTemplate === null) {
    if (turns.length > 0)
      throw new UsageError(
        `Expected "${parts.id}" to be a chat model, since there are earlier turns; got a base model.`,
      );
    const slots = { system: text.system ?? '', question: text.question };
    return { ids: encodePlain(tokenizer, plainTemplateOf(trait), slots), systemMerged: false };
  }
  return encodeMessages(parts, toMessages(text));
}

/** A question with what comes before it, as a conversation. */
export function toMessages({
  system,
  question,
  turns = [],
}: {
  readonly system: string | null;
  readonly question: string;
  readonly turns?: readonly ChatMessage[];
}): ChatMessage[] {
  const opening: ChatMessage[] = system === null ? [] : [{ role: 'system', content: system }];
  return [...opening, ...turns, { role: 'user', content: question }];
}

/** Ids of a conversation up to the opening of the next reply, with thinking off where the template knows how. */
export function encodeMessages(parts: PromptParts, messages: readonly ChatMessage[]): Prompt {
  return encodeChat(parts, messages, thinkingOff(parts));
}

/** What switches thinking off, where the template knows how. */
export function thinkingOff({ chatTemplate }: Pick<PromptParts, 'chatTemplate'>): ChatOptions {
  const switches = chatTemplate !== null && canSwitchThinking(chatTemplate);
  return switches ? { templateVariables: { enable_thinking: false } } : {};
}

/** How prompts are spelled, for the recipe: the checkpoint's fingerprint covers its weights only. */
export function describePrompts(parts: PromptParts, trait: Trait): Record<string, string | boolean> {
  if (parts.chatTemplate === null) return { kind: 'plain', template: plainTemplateOf(trait) };
  const probe = encodePrompt(parts, trait, { system: 'Be brief.', question: 'Who are you?' });
  const template = sha256(parts.chatTemplate.source);
  // A model may think although it was told not to; its thoughts are then left out like those of one that always does.
  const leftOut = thinkTokensOf(parts.tokenizer) === null ? 'none' : 'left_out';
  const thinking = canSwitchThinking(parts.chatTemplate) ? 'off' : leftOut;
  return { kind: 'chat', template_sha256: template, system_merged: probe.systemMerged, thinking };
}

/** The model's tokenizer; UsageError where it has none. */
export function requireTokenizer(parts: PromptParts): TextTokenizer {
  if (parts.tokenizer !== null) return parts.tokenizer;
  throw new UsageError(
    `Expected "${parts.id}" to have a tokenizer.json, got none; rollouts need one to read prompts and to write replies.`,
    { details: { model: parts.id } },
  );
}

function canSwitchThinking({ source }: ChatTemplate): boolean {
  return source.includes('enable_thinking');
}

function plainTemplateOf(trait: Trait): string {
  return trait.template ?? DEFAULT_PLAIN_TEMPLATE;
}
