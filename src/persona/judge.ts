import type { Scores } from '../store/rollout-schema.ts';
import type { Trait } from './trait.ts';

export type { Scores } from '../store/rollout-schema.ts';

/** A text to judge: what was asked, and what the model said. */
export interface JudgeItem {
  readonly question: string;
  /** The model's own words, without the prompt. */
  readonly answer: string;
}

/** Texts that are there, or that come while others are judged already. */
export type JudgeItems = Iterable<JudgeItem> | AsyncIterable<JudgeItem>;

export interface Judgement {
  /** Position of the item in the input. */
  readonly index: number;
  readonly scores: Scores;
}

export interface JudgeOptions {
  readonly signal?: AbortSignal;
}

/** So many replies, of so many tokens on average, whose judging is to be estimated. */
export interface JudgeLoad {
  readonly replies: number;
  readonly replyTokens: number;
}

/** What judging a load asks of a provider: nothing where the judge runs on this machine. */
export interface JudgeCost {
  /** Requests, each for one metric of one reply, if none of the answers is known already. */
  readonly calls: number;
  /** Tokens in all, prompts' from their length in characters. */
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Scores texts for one trait and for coherence, 0–100 each; null is a refusal to score. */
export interface JudgeProvider {
  /** Names the judge and all that decides its scores; equal ids give equal scores for equal texts, as far as it can. */
  readonly id: string;
  /**
   * Whether it works elsewhere or in next to no time, so that replies are worth judging while others are still being
   * generated. Else it shares this machine's processor, and judging comes after.
   */
  readonly beside: boolean;
  /**
   * Judges every item. It takes as many items at a time as it can use; results come as they are ready, in no fixed
   * order. Leaving the loop early ends what is in flight.
   *
   * @throws AbortError when stopped by `signal`; UsageError when a judge elsewhere refuses or stays out of reach. What
   *   was answered before is kept by the judge, and not asked again.
   */
  judge(items: JudgeItems, options?: JudgeOptions): AsyncIterable<Judgement>;
  /** What `judge` will ask of others. */
  estimate(load: JudgeLoad): JudgeCost;
}

/** What `--judge` names: one connection, loaded model or rule, from which the judges of any number of traits come. */
export interface JudgeSource {
  /** As it was asked for, such as `openai:gpt-4.1-mini`; never holds a key. */
  readonly name: string;
  /** UsageError where the trait's file lacks what this kind of judge needs. */
  forTrait(trait: Trait): JudgeProvider;
  /** Releases what it holds; its judges cannot be used afterwards. */
  close(): Promise<void>;
}

/** The cost of a judge that asks nobody. */
export const noCost: JudgeCost = { calls: 0, inputTokens: 0, outputTokens: 0 };
