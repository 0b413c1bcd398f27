import type { LanguageModel } from '../../engine/model.ts';
import { thinkTokensOf } from '../../model/thinking.ts';
import { requireTokenizer } from '../../persona/prompt.ts';
import type { Direction } from '../../persona/projection/watch.ts';
import { type AnswerCache, openAnswerCache } from '../../store/answer-cache.ts';
import { answerCacheFolder, cacheFolder } from '../../store/cache-folder.ts';
import { type OwnReplyState, ownReplySchema } from '../../store/screen-schema.ts';
import { sha256 } from '../../util/hash.ts';
import { dot } from '../../util/vectors.ts';
import type { EncodedSample } from './samples.ts';

/** The model's own reply to a prompt. */
export interface OwnReply {
  readonly text: string;
  /** `[watched]`, mean over its words; null where it has none. */
  readonly mean: readonly number[] | null;
}

export interface FoundReplies {
  /** One a sample, in their order. */
  readonly replies: readonly OwnReply[];
  /**
   * By sample: projections `[1 + reply's tokens, watched]` of the prompt's last token and of the reply in the data, where
   * that was run with the prompt of a reply that had to be generated.
   */
  readonly read: ReadonlyMap<number, Float32Array>;
}

/**
 * The model's own greedy replies, kept by what decides them: model and precision, prompt, length, and the tokens that end a
 * turn or enclose a thought. What is kept of a reply is its tokens and its mean residual at the layers that were asked for,
 * so that other vectors at these layers, and other data sets with the same prompts, find it again.
 */
export class OwnReplies {
  readonly #model: LanguageModel;
  readonly #watched: readonly Direction[];
  readonly #maxTokens: number;
  readonly #cache: AnswerCache;
  readonly #layers: readonly number[];

  private constructor(
    model: LanguageModel,
    watched: readonly Direction[],
    maxTokens: number,
    cache: AnswerCache,
  ) {
    this.#model = model;
    this.#watched = watched;
    this.#maxTokens = maxTokens;
    this.#cache = cache;
    this.#layers = [...new Set(watched.map(({ layer }) => layer))].sort((a, b) => a - b);
  }

  static async open(
    model: LanguageModel,
    fingerprint: string,
    watched: readonly Direction[],
    maxTokens: number,
  ): Promise<OwnReplies> {
    const name = `replies ${model.checkpoint.id} ${fingerprint} ${model.precision}`;
    const cache = await openAnswerCache(answerCacheFolder(cacheFolder(), name));
    return new OwnReplies(model, watched, maxTokens, cache);
  }

  close(): Promise<void> {
    return this.#cache.close();
  }

  /**
   * The own replies to the samples' prompts. A prompt that is not known yet runs once, for the reply in the data and for the
   * model's own; equal prompts are answered once.
   *
   * @throws AbortError when stopped; what was generated before is kept.
   */
  async of(samples: readonly EncodedSample[], signal: AbortSignal | undefined): Promise<FoundReplies> {
    const keys = samples.map((sample) => this.#keyOf(sample));
    const missing = new Map<string, number>();
    for (const [i, key] of keys.entries())
      if (!missing.has(key) && this.#known(key) === null) missing.set(key, i);
    const read = new Map<number, Float32Array>();
    // One call a length, which is the same for all but prompts near the end of the model's context.
    const byLimit = new Map<number, number[]>();
    for (const i of missing.values()) {
      const limit = this.#limitOf(samples[i]!);
      byLimit.set(limit, [...(byLimit.get(limit) ?? []), i]);
    }
    for (const [limit, indices] of byLimit) await this.#generate(samples, indices, limit, read, signal);
    return { replies: keys.map((key) => this.#reply(this.#known(key)!)), read };
  }

  async #generate(
    samples: readonly EncodedSample[],
    indices: readonly number[],
    maxTokens: number,
    read: Map<number, Float32Array>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const rows = indices.map((i) => ({ ids: samples[i]!.promptIds, read: samples[i]!.replyIds }));
    const project = this.#watched.map(({ layer, vector }) => ({ layer, vector }));
    const options = { maxTokens, project, capture: ['response_mean'], skipThoughts: true } as const;
    for await (const generated of this.#model.generate(rows, { ...options, ...(signal && { signal }) })) {
      const i = indices[generated.index]!;
      const { ids, pooled, projections } = generated;
      const before = projections!.subarray(0, project.length);
      read.set(i, Float32Array.from([...before, ...generated.read!]));
      const key = this.#keyOf(samples[i]!);
      await this.#cache.put(key, { ids: [...ids], means: this.#meansOf(key, pooled.response_mean) });
    }
  }

  /** The mean residuals at the layers that are asked for, beside those that are known of the reply already. */
  #meansOf(key: string, pooled: Float32Array | undefined): OwnReplyState['means'] {
    if (pooled === undefined) return null;
    const known = ownReplySchema.safeParse(this.#cache.get(key)).data?.means ?? {};
    const { width } = this.#model.checkpoint.config;
    const means = this.#layers.map((layer) => {
      const bytes = Buffer.from(pooled.slice(layer * width, (layer + 1) * width).buffer);
      return [String(layer), bytes.toString('base64')] as const;
    });
    return { ...known, ...Object.fromEntries(means) };
  }

  /** What is kept of a reply, where that says all that is asked. */
  #known(key: string): OwnReplyState | null {
    const state = ownReplySchema.safeParse(this.#cache.get(key)).data ?? null;
    const has = (layer: number): boolean => state?.means === null || state?.means[layer] !== undefined;
    return state !== null && this.#layers.every(has) ? state : null;
  }

  #reply({ ids, means }: OwnReplyState): OwnReply {
    const text = requireTokenizer(this.#model.checkpoint).decode(ids, { skipSpecial: true });
    if (means === null) return { text, mean: null };
    const residuals = new Map(this.#layers.map((layer) => [layer, floatsOf(means[layer]!)]));
    const mean = this.#watched.map(
      ({ layer, vector }) => dot(residuals.get(layer)!, vector) / Math.sqrt(dot(vector, vector)),
    );
    return { text, mean };
  }

  #limitOf({ promptIds }: EncodedSample): number {
    return Math.min(this.#maxTokens, this.#model.checkpoint.config.maxPositions - promptIds.length);
  }

  #keyOf(sample: EncodedSample): string {
    const { generation, tokenizer } = this.#model.checkpoint;
    const ends = [...generation.eosTokenIds].sort((a, b) => a - b);
    const how = [this.#limitOf(sample), ends, thinkTokensOf(tokenizer)];
    return sha256(`${JSON.stringify(how)}\n${sample.promptIds.join(' ')}`);
  }
}

function floatsOf(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}
