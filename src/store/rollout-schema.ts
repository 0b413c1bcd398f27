import { z } from 'zod';
import { type JsonValue, jsonValueSchema } from './schema.ts';

/** What a judge says of one text; null is a refusal to score. */
export interface Scores {
  /** 0 (the opposite, or absent) … 100. */
  readonly trait: number | null;
  /** 0 … 100. */
  readonly coherence: number | null;
  /** Whatever the scores were computed from, so that they can be computed again. */
  readonly raw: JsonValue;
}

/** One sampled reply. */
export interface Rollout {
  /** Names the row; rows are matched by it, never by order. */
  readonly key: string;
  /** What the key is made of, such as `{ pole, instruction, question, sample }`. */
  readonly ids: Readonly<Record<string, string | number>>;
  /** Text of the instruction or system prompt, or null. */
  readonly system: string | null;
  readonly question: string;
  /** The model's own words, without the prompt. */
  readonly text: string;
  readonly prompt_tokens: number;
  /** Ids of the reply: text to ids is not unique, so they are kept. */
  readonly response_ids: readonly number[];
  readonly finish_reason: 'stop' | 'length';
  /** Of a rollout made elsewhere: prompt and answer as they were given. */
  readonly given?: GivenTexts | undefined;
}

/** A rollout as it stood in the file that it was read from. */
export interface GivenTexts {
  readonly prompt: string;
  readonly answer: string;
  readonly question_id: string;
}

export interface ScoredRollout extends Rollout {
  readonly scores: Scores;
}

const score = z.number().min(0).max(100).nullable();
export const scoresSchema: z.ZodType<Scores> = z.object({
  trait: score,
  coherence: score,
  raw: jsonValueSchema,
});

/** A judge's line on its way: the scores of one row. */
export interface ScoreLine {
  readonly key: string;
  readonly scores: Scores;
}
export const scoreLineSchema: z.ZodType<ScoreLine> = z.object({ key: z.string(), scores: scoresSchema });

const rolloutShape = {
  key: z.string(),
  ids: z.record(z.string(), z.union([z.string(), z.number()])),
  system: z.string().nullable(),
  question: z.string(),
  text: z.string(),
  prompt_tokens: z.int().min(0),
  response_ids: z.array(z.int().min(0)),
  finish_reason: z.enum(['stop', 'length']),
  given: z.object({ prompt: z.string(), answer: z.string(), question_id: z.string() }).optional(),
};
export const rolloutSchema: z.ZodType<Rollout> = z.object(rolloutShape);
export const scoredRolloutSchema: z.ZodType<ScoredRollout> = z.object({
  ...rolloutShape,
  scores: scoresSchema,
});
