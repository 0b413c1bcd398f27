import type { Scores } from '../store/rollout-schema.ts';

export type { Scores } from '../store/rollout-schema.ts';

/** A text to judge: what was asked, and what the model said. */
export interface JudgeItem {
  readonly question: string;
  /** The model's own words, without the prompt. */
  readonly answer: string;
}

export interface Judgement {
  /** Position of the item in the input. */
  readonly index: number;
  readonly scores: Scores;
}

/** Scores texts for one trait and for coherence, 0–100 each; null is a refusal to score. */
export interface JudgeProvider {
  /** Names the judge and all that decides its scores; equal ids give equal scores for equal texts, as far as it can. */
  readonly id: string;
  /** Judges every item; results come as they are ready, in no fixed order. */
  judge(items: readonly JudgeItem[], options?: { readonly signal?: AbortSignal }): AsyncIterable<Judgement>;
}
