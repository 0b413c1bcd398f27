import type { LanguageModel } from '../engine/model.ts';
import { DataError } from '../errors.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import { distributionOf } from '../persona/projection/baseline.ts';
import type { TurnSpan } from '../persona/projection/rows.ts';
import type { Watched } from '../persona/projection/watch.ts';
import { type Baseline, writeBaseline } from '../store/baseline-file.ts';
import { describeArtifact } from '../store/manifest.ts';
import { directionHash } from '../training/directions.ts';
import { type ProjectedTranscript, projectTranscripts } from './project-transcripts.ts';

export interface CalibrateOptions {
  readonly model: LanguageModel;
  readonly watched: readonly Watched[];
  /** Ordinary conversations; see `readTranscripts`. */
  readonly input: string;
  /** The baseline to write. */
  readonly output: string;
  /** Takes what is wrong with a conversation, which is then left out; by default the first fault is thrown. */
  readonly onBad?: ((error: DataError) => void) | undefined;
  readonly onProgress?: ((conversations: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Turns below which tails are guesses: the 95th percentile of so many has one turn above it. */
export const LEAST_TURNS = 20;

/**
 * Measures how ordinary conversations project on vectors: the state before every reply, every reply's mean, and every
 * token of replies, for each vector. The baseline is there whole or not at all.
 *
 * @throws DataError for fewer than 20 turns, or naming the line of a conversation that cannot be run.
 */
export async function calibrateBaseline(options: CalibrateOptions): Promise<Baseline> {
  const { model, watched, input, output, onProgress } = options;
  const values = watched.map((): Values => ({ prompt_last: [], response_mean: [], response_token: [] }));
  let [conversations, turns] = [0, 0];
  for await (const chunk of projectTranscripts(options)) {
    for (const one of chunk) {
      conversations++;
      turns += one.projected.turns.length;
      collect(one, values);
    }
    onProgress?.(conversations);
  }
  const counted = values[0]!.response_mean.length;
  if (counted < LEAST_TURNS)
    throw new DataError(
      `"${input}": expected at least ${LEAST_TURNS} replies to calibrate on, got ${counted}; give more conversations.`,
      { details: { file: input, turns: counted } },
    );
  const baseline: Baseline = {
    format: 'persona-vectors/baseline/1',
    model: model.checkpoint.id,
    model_fingerprint: await checkpointFingerprint(model.checkpoint),
    input,
    input_sha256: (await describeArtifact(input)).sha256,
    conversations,
    turns,
    vectors: watched.map(({ name, layer, pooling, vector }, i) => ({
      name,
      layer,
      pooling,
      vector_sha256: directionHash(vector),
      places: {
        prompt_last: distributionOf(values[i]!.prompt_last),
        response_mean: distributionOf(values[i]!.response_mean),
        response_token: distributionOf(values[i]!.response_token),
      },
    })),
  };
  await writeBaseline(output, baseline);
  return baseline;
}

/** Projections on one vector, by place. */
interface Values {
  readonly prompt_last: number[];
  readonly response_mean: number[];
  readonly response_token: number[];
}

function collect({ row, projected }: ProjectedTranscript, values: readonly Values[]): void {
  for (const [v, { prompt_last, response_mean, response_token }] of values.entries()) {
    for (const [i, turn] of projected.turns.entries()) {
      prompt_last.push(turn.before[v]!);
      if (turn.mean !== null) response_mean.push(turn.mean[v]!);
      const { start, end } = row.turns[i] as TurnSpan;
      for (let token = start; token < end; token++)
        response_token.push(projected.tokens[token * values.length + v]!);
    }
  }
}
