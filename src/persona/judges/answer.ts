import { z } from 'zod';
import type { Scores } from '../../store/rollout-schema.ts';
import { pythonInt } from '../../util/python-int.ts';

const logprob = z.number().max(1e-6);

/** What a judge said of one metric of one reply: all that its score is computed from. */
export const answerSchema = z.discriminatedUnion('kind', [
  /** The most likely first tokens of the answer, with their natural log-probabilities. */
  z.object({ kind: z.literal('tokens'), tokens: z.array(z.tuple([z.string(), logprob])) }),
  /** The whole distribution over the answers "0" … "100", each followed by the end of the turn. */
  z.object({ kind: z.literal('numbers'), logprobs: z.array(logprob).length(101) }),
  /** Whole answers, sampled. */
  z.object({ kind: z.literal('samples'), texts: z.array(z.string()) }),
  /** The provider gave no answer on principle; `reason` is its own word for that. */
  z.object({ kind: z.literal('refused'), reason: z.string() }),
]);
export type JudgeAnswer = z.infer<typeof answerSchema>;

/** What the two prompts of a judge that is a language model ask for. */
export const metrics = ['trait', 'coherence'] as const;
export type Metric = (typeof metrics)[number];

/** `raw` of the scores that a language model gave. */
const rawSchema = z.object({ trait: answerSchema, coherence: answerSchema });
export type JudgeAnswers = z.infer<typeof rawSchema>;

/** Numbers must have this much of the probability; below it an answer counts as a refusal. */
const LEAST_MASS = 0.25;

/**
 * The score of an answer, 0–100: the mean of the numbers in it, weighted by their probability; null where numbers have
 * less than a quarter of all probability, which the paper's code takes for a refusal. Numbers are what Python's `int()`
 * reads as 0 … 100; of tokens that are spelled alike the last one counts, as in a Python dictionary.
 */
export function scoreAnswer(answer: JudgeAnswer): number | null {
  switch (answer.kind) {
    case 'tokens':
      return weightedMean([...new Map(answer.tokens)].map(([token, p]) => [pythonInt(token), Math.exp(p)]));
    case 'numbers':
      return weightedMean(answer.logprobs.map((p, number) => [number, Math.exp(p)]));
    case 'samples':
      return weightedMean(answer.texts.map((text) => [readSample(text), 1 / answer.texts.length]));
    case 'refused':
      return null;
    default:
      return answer satisfies never;
  }
}

/** Both scores, with the answers beside them. */
export function scoresOf(answers: JudgeAnswers): Scores {
  return { trait: scoreAnswer(answers.trait), coherence: scoreAnswer(answers.coherence), raw: answers };
}

/** Stored scores computed once more from their answers; null where `raw` is not a language model's. */
export function rescore(scores: Scores): Scores | null {
  const parsed = rawSchema.safeParse(scores.raw);
  return parsed.success ? scoresOf(parsed.data) : null;
}

/** The answers of a language model among stored scores; null for those of another judge. */
export function answersOf({ raw }: Scores): JudgeAnswers | null {
  return rawSchema.safeParse(raw).data ?? null;
}

/** Standard deviation of the numbers among sampled answers; null for other answers and for fewer than two numbers. */
export function sampleSpread(answer: JudgeAnswer): number | null {
  if (answer.kind !== 'samples') return null;
  const numbers = answer.texts.map(readSample).filter((number) => number !== null);
  if (numbers.length < 2) return null;
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const squares = numbers.reduce((sum, number) => sum + (number - mean) ** 2, 0);
  return Math.sqrt(squares / (numbers.length - 1));
}

/** A sampled answer that is a number, and nothing else but marks of emphasis, quotes, a full stop or "/100". */
function readSample(text: string): number | null {
  const bare = text.trim().replace(/^["'*`]+|\.?["'*`]*\.?$/g, '');
  return inRange(pythonInt(bare.replace(/\s*\/\s*100$/, '')));
}

function weightedMean(entries: readonly (readonly [number | null, number])[]): number | null {
  let [sum, mass] = [0, 0];
  for (const [number, probability] of entries) {
    if (inRange(number) === null) continue;
    sum += number! * probability;
    mass += probability;
  }
  return mass < LEAST_MASS ? null : within(sum / mass);
}

/** Rounding may carry a mean of 100s a bit over 100. */
function within(score: number): number {
  return Math.min(100, Math.max(0, score));
}

function inRange(number: number | null): number | null {
  return number !== null && number >= 0 && number <= 100 ? number : null;
}
