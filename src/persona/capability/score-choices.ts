import type { LanguageModel } from '../../engine/model.ts';
import { logPartition } from '../../engine/sample.ts';
import type { ForwardOptions, ForwardResult, ForwardRow, Intervention } from '../../engine/types.ts';

/** A question as tokens. */
export interface EncodedChoices {
  readonly prompt: readonly number[];
  /** What might follow, one a choice; none of them empty. */
  readonly continuations: readonly (readonly number[])[];
}

export interface ScoreOptions {
  /** Act on every question. */
  readonly interventions?: readonly Intervention[];
  readonly signal?: AbortSignal;
  /** Told how many questions are scored. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Questions a call of the engine: enough for batches of like length, few enough for progress and a stop. */
const CHUNK = 256;

/**
 * log p of every choice of every question given its prompt, in nats: the sum over its tokens. Where all choices are single
 * tokens a question is run once, and its last logits are read; else once for each choice. Both give the same numbers.
 */
export async function scoreChoices(
  model: LanguageModel,
  questions: readonly EncodedChoices[],
  { interventions = [], signal, onProgress }: ScoreOptions = {},
): Promise<Float64Array[]> {
  const scores: Float64Array[] = [];
  const options = signal === undefined ? {} : { signal };
  for (let start = 0; start < questions.length; start += CHUNK) {
    const chunk = questions.slice(start, start + CHUNK);
    const single = chunk.every(({ continuations }) => continuations.every(({ length }) => length === 1));
    const score = single ? byLogits : byContinuations;
    scores.push(...(await score(model, chunk, interventions, options)));
    onProgress?.(scores.length, questions.length);
  }
  return scores;
}

/** Index of the largest; of equals, the first. */
export function likeliest(logprobs: Float64Array): number {
  return logprobs.reduce((best, value, i) => (value > logprobs[best]! ? i : best), 0);
}

type Settings = Pick<ForwardOptions, 'signal'>;

async function byLogits(
  model: LanguageModel,
  questions: readonly EncodedChoices[],
  interventions: readonly Intervention[],
  options: Settings,
): Promise<Float64Array[]> {
  const rows = questions.map(({ prompt }): ForwardRow => ({ ids: prompt, interventions }));
  const results = await inOrder(model, rows, { ...options, logits: 'last' });
  return questions.map(({ continuations }, i) => {
    const logits = results[i]!.logits!;
    const partition = logPartition(logits);
    return Float64Array.from(continuations, ([id]) => logits[id!]! - partition);
  });
}

async function byContinuations(
  model: LanguageModel,
  questions: readonly EncodedChoices[],
  interventions: readonly Intervention[],
  options: Settings,
): Promise<Float64Array[]> {
  const rows = questions.flatMap(({ prompt, continuations }) =>
    continuations.map(
      (continuation): ForwardRow => ({
        ids: [...prompt, ...continuation],
        responseStart: prompt.length,
        interventions,
      }),
    ),
  );
  const results = await inOrder(model, rows, { ...options, nll: true });
  let next = 0;
  return questions.map(({ continuations }) =>
    Float64Array.from(continuations, () => -results[next++]!.nll!.reduce((sum, value) => sum + value, 0)),
  );
}

async function inOrder(
  model: LanguageModel,
  rows: readonly ForwardRow[],
  options: ForwardOptions,
): Promise<ForwardResult[]> {
  const results: ForwardResult[] = [];
  for await (const result of model.forward(rows, options)) results[result.index] = result;
  return results;
}
