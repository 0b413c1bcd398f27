import type { LanguageModel } from '../../engine/model.ts';
import { thinkTokensOf } from '../../model/thinking.ts';
import { type TurnProjection, projectRows, turnsOf } from '../../persona/projection/project.ts';
import { type ProjectionRow, toProjectionRow } from '../../persona/projection/rows.ts';
import type { Direction } from '../../persona/projection/watch.ts';
import type { ScreenRow } from '../../store/screen-schema.ts';
import type { OwnReply, OwnReplies } from './own-replies.ts';
import type { EncodedSample } from './samples.ts';

/**
 * What a reply's projection is compared with: the model's own reply, its state before any reply, or nothing; `auto` is
 * `prompt-last` for all and `full` where it matters.
 */
export const screenModes = ['auto', 'full', 'prompt-last', 'raw'] as const;
export type ScreenMode = (typeof screenModes)[number];
/** How one sample is scored. */
export const sampleModes = ['full', 'prompt-last', 'raw'] as const;
export type SampleMode = (typeof sampleModes)[number];

export interface Scorer {
  readonly model: LanguageModel;
  readonly watched: readonly Direction[];
  /** For mode `full`. */
  readonly own: OwnReplies | null;
}

/**
 * Scores samples; results stand in their order. A sample's numbers do not depend on the others.
 *
 * @throws AbortError when stopped.
 */
export async function scoreSamples(
  { model, watched, own }: Scorer,
  mode: SampleMode,
  samples: readonly EncodedSample[],
  signal: AbortSignal | undefined,
): Promise<ScreenRow[]> {
  const tokens = thinkTokensOf(model.checkpoint.tokenizer);
  const rows = samples.map(({ promptIds, replyIds }) =>
    toProjectionRow([...promptIds, ...replyIds], promptIds.length, tokens),
  );
  const found = mode === 'full' && own !== null ? await own.of(samples, signal) : null;
  const turns: TurnProjection[] = [];
  for (const [i, read] of found?.read ?? []) turns[i] = turnRead(samples[i]!, rows[i]!, read, watched.length);
  const rest = [...samples.keys()].filter((i) => turns[i] === undefined);
  const given = rest.map((i) => rows[i]!);
  for await (const { index, turns: all } of projectRows(model, watched, given, { signal }))
    turns[rest[index]!] = all[0]!;
  return samples.map((sample, i) => rowOf(sample, turns[i]!, mode, found?.replies[i] ?? null));
}

/** The turn out of what was read with the prompt: its last token's projections and the reply's. */
function turnRead(
  { promptIds }: EncodedSample,
  row: ProjectionRow,
  read: Float32Array,
  width: number,
): TurnProjection {
  const tokens = new Float32Array(row.ids.length * width);
  tokens.set(read, (promptIds.length - 1) * width);
  return turnsOf(row, tokens, width)[0]!;
}

function rowOf(
  { key, id, source, prompt, reply, replyIds }: EncodedSample,
  turn: TurnProjection,
  mode: SampleMode,
  own: OwnReply | null,
): ScreenRow {
  return {
    key,
    id,
    source,
    prompt: [...prompt],
    reply,
    tokens: replyIds.length,
    // A reply that is all thought has no words; what it was thought from stands for it.
    projection: [...(turn.mean ?? turn.before)],
    reference: mode === 'raw' ? null : [...(own?.mean ?? turn.before)],
    base_reply: own?.text ?? null,
  };
}
