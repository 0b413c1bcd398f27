import type { LanguageModel } from '../../engine/model.ts';
import type { Generated } from '../../engine/types.ts';
import { ThoughtTracker, thinkTokensOf } from '../../model/thinking.ts';
import { projectRows } from '../../persona/projection/project.ts';
import { toProjectionRow } from '../../persona/projection/rows.ts';
import type { Watched } from '../../persona/projection/watch.ts';
import type { AnswerCache } from '../../store/answer-cache.ts';
import type { ScreenRow } from '../../store/screen-schema.ts';
import { sha256 } from '../../util/hash.ts';
import type { EncodedSample } from './samples.ts';

/** What a reply's projection is compared with: the model's own reply, its state before any reply, or nothing. */
export const screenModes = ['full', 'prompt-last', 'raw'] as const;
export type ScreenMode = (typeof screenModes)[number];

export interface Scorer {
  readonly model: LanguageModel;
  readonly watched: readonly Watched[];
  readonly mode: ScreenMode;
  /** Longest reply of the model's own, in tokens. */
  readonly maxTokens: number;
  /** The model's own replies, with all that decides them in `identity`. */
  readonly cache: AnswerCache;
  readonly identity: string;
}

/** The model's own reply to a prompt. */
interface BaseReply {
  readonly text: string;
  /** `[watched]`, mean over its words. */
  readonly mean: readonly number[];
}

/**
 * Scores samples; results stand in their order. A sample's numbers do not depend on the others.
 *
 * @throws AbortError when stopped.
 */
export async function scoreSamples(
  scorer: Scorer,
  samples: readonly EncodedSample[],
  signal: AbortSignal | undefined,
): Promise<ScreenRow[]> {
  const { model, watched, mode } = scorer;
  const bases = mode === 'full' ? await baseReplies(scorer, samples, signal) : null;
  const tokens = thinkTokensOf(model.checkpoint.tokenizer);
  const rows = samples.map(({ promptIds, replyIds }) =>
    toProjectionRow([...promptIds, ...replyIds], promptIds.length, tokens),
  );
  const scored: ScreenRow[] = [];
  for await (const { index, turns } of projectRows(model, watched, rows, { signal })) {
    const { key, id, source, prompt, reply, replyIds } = samples[index]!;
    const [turn] = turns;
    // A reply that is all thought has no words; what it was thought from stands for it.
    const projection = [...(turn!.mean ?? turn!.before)];
    const base = bases?.get(promptKey(scorer, samples[index]!)) ?? null;
    const reference = mode === 'raw' ? null : [...(base?.mean ?? turn!.before)];
    scored[index] = {
      key,
      id,
      source,
      prompt: [...prompt],
      reply,
      tokens: replyIds.length,
      projection,
      reference,
      base_reply: base?.text ?? null,
    };
  }
  return scored;
}

/** The model's own greedy reply to each prompt, by prompt; each is generated once, whoever asks again. */
async function baseReplies(
  scorer: Scorer,
  samples: readonly EncodedSample[],
  signal: AbortSignal | undefined,
): Promise<Map<string, BaseReply>> {
  const { model, watched, cache, maxTokens } = scorer;
  const replies = new Map<string, BaseReply>();
  const asked = new Map<string, readonly number[]>();
  for (const sample of samples) {
    const key = promptKey(scorer, sample);
    const known = cache.get(key) as BaseReply | undefined;
    if (known === undefined) asked.set(key, sample.promptIds);
    else replies.set(key, known);
  }
  const waiting = [...asked].map(([key, ids]) => ({ key, ids }));
  const room = model.checkpoint.config.maxPositions;
  const longest = Math.max(0, ...waiting.map(({ ids }) => ids.length));
  const limit = Math.min(maxTokens, room - longest);
  const project = watched.map(({ layer, vector }) => ({ layer, vector }));
  const options = { maxTokens: limit, temperature: 0, project, ...(signal !== undefined && { signal }) };
  if (waiting.length === 0) return replies;
  for await (const generated of model.generate(waiting, options)) {
    const { key, ids } = waiting[generated.index]!;
    const reply = { text: generated.text ?? '', mean: meanOfWords(scorer, ids, generated) };
    replies.set(key, reply);
    await cache.put(key, reply);
  }
  return replies;
}

/** Mean over the reply's words, thoughts left out, in token order; of a reply without words, the state before it. */
function meanOfWords(
  { model, watched }: Scorer,
  prompt: readonly number[],
  { ids, projections }: Generated,
): number[] {
  const width = watched.length;
  const values = projections!;
  const thinking = thinkTokensOf(model.checkpoint.tokenizer);
  const tracker = thinking === null ? null : new ThoughtTracker(thinking, prompt);
  const sums = new Float64Array(width);
  let count = 0;
  for (const [i, id] of ids.entries()) {
    if (tracker?.push(id) === true || (i + 2) * width > values.length) continue;
    for (let v = 0; v < width; v++) sums[v]! += values[(i + 1) * width + v]!;
    count++;
  }
  return count === 0 ? [...values.subarray(0, width)] : [...sums].map((sum) => sum / count);
}

function promptKey({ identity }: Scorer, { promptIds }: EncodedSample): string {
  return sha256(`${identity}\n${promptIds.join(' ')}`);
}
