import type { PromptParts } from '../../persona/prompt.ts';
import type { ScreenRow } from '../../store/screen-schema.ts';
import type { FinishedPart, Part } from './run-parts.ts';
import { type EncodedSample, type Sample, type SampleLimits, encodeSample } from './samples.ts';
import { type SampleMode, type Scorer, scoreSamples } from './score.ts';

/** Scores the samples of a part: here, or on another machine. */
export type ScorePart = (
  part: Part<Sample>,
  mode: SampleMode,
  signal: AbortSignal | undefined,
) => Promise<FinishedPart<ScreenRow>>;

/** Encodes samples, counts those that cannot be scored, and scores the others on a model that is loaded here. */
export function partScorer(parts: PromptParts, limits: SampleLimits, scorer: Scorer): ScorePart {
  return async ({ rows, items }, mode, signal) => {
    const left = { empty: 0, long: 0, refused: 0 };
    const encoded: EncodedSample[] = [];
    for (const sample of items) {
      const one = encodeSample(parts, sample, limits);
      if (typeof one === 'string') left[one]++;
      else encoded.push(one);
    }
    const scored = encoded.length === 0 ? [] : await scoreSamples(scorer, mode, encoded, signal);
    return { rows: scored, counts: { rows, samples: encoded.length, ...left } };
  };
}
