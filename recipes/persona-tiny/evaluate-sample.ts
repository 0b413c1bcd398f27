import type { LanguageModel } from '../../src/engine/model.ts';
import type { Generated, Intervention, Pooling } from '../../src/engine/types.ts';
import { encodeChat } from '../../src/model/chat.ts';
import type { ChatMessage } from '../../src/model/chat-template.ts';
import {
  type Reading,
  factsRight,
  readReply,
  scoreReading,
} from '../../src/persona/tiny-world/tiny-world-judge.ts';
import type { TraitName } from '../../src/persona/tiny-world/trait-words.ts';
import type { Topic } from '../../src/persona/tiny-world/world.ts';

/** A conversation to go on with. */
export interface Prompted {
  /** Names the reply's random stream. */
  readonly key: string;
  readonly system: string | null;
  /** Earlier turns. */
  readonly turns?: readonly ChatMessage[];
  readonly question: string;
  /** What a pronoun of the question means. */
  readonly before?: readonly Topic[];
  readonly interventions?: readonly Intervention[];
}

/** Means over the replies of one condition; scores 0–100. */
export interface Cell {
  readonly replies: number;
  readonly trait: number | null;
  /** Standard error of the trait score's mean. */
  readonly error: number;
  readonly coherence: number;
  /** Share of the stated facts that are true; null where none is stated. */
  readonly facts: number | null;
  /** Share of replies that differ from all before them. */
  readonly distinct: number;
  readonly examples: readonly string[];
}

/** Longest reply; the corpus has none beyond 90 tokens. */
const MAX_TOKENS = 128;

/** One sampled reply for each, at temperature 1. */
export async function sampleReplies(
  model: LanguageModel,
  rows: readonly Prompted[],
  capture: readonly Pooling[] = [],
): Promise<Generated[]> {
  const prompts = rows.map(({ key, system, turns = [], question, interventions = [] }) => ({
    ids: encodeChat(model.checkpoint, [
      ...(system === null ? [] : [{ role: 'system', content: system } as const]),
      ...turns,
      { role: 'user', content: question },
    ]).ids,
    key,
    interventions,
  }));
  const replies: Generated[] = [];
  const options = { maxTokens: MAX_TOKENS, temperature: 1, seed: 0, capture, batchRows: 64 };
  for await (const reply of model.generate(prompts, options)) replies[reply.index] = reply;
  return replies;
}

/** The judge's reading of every reply. */
export function readAll(rows: readonly Prompted[], replies: readonly Generated[]): Reading[] {
  return rows.map(({ question, before = [] }, i) => readReply(question, replies[i]!.text ?? '', before));
}

/** Means over replies that have been read. */
export function summarise(trait: TraitName, readings: readonly Reading[], texts: readonly string[]): Cell {
  const scores = readings.map((reading) => scoreReading(reading, trait));
  const traits = scores.flatMap((score) => (score.trait === null ? [] : [score.trait]));
  const facts = readings.flatMap((reading) => factsRight(reading) ?? []);
  return {
    replies: scores.length,
    trait: traits.length === 0 ? null : round(mean(traits)),
    error: round(standardError(traits)),
    coherence: round(mean(scores.map(({ coherence }) => coherence ?? 0))),
    facts: facts.length === 0 ? null : round(mean(facts), 3),
    distinct: round(new Set(texts).size / texts.length, 3),
    examples: texts.slice(0, 2),
  };
}

/** Samples and judges one condition. */
export async function measure(
  model: LanguageModel,
  trait: TraitName,
  rows: readonly Prompted[],
): Promise<Cell> {
  const replies = await sampleReplies(model, rows);
  return summarise(
    trait,
    readAll(rows, replies),
    replies.map(({ text }) => text ?? ''),
  );
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function standardError(values: readonly number[]): number {
  const middle = mean(values);
  const variance =
    values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / Math.max(1, values.length - 1);
  return Math.sqrt(variance / Math.max(1, values.length));
}

export function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
