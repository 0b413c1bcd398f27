import { z } from 'zod';
import { ParseError, UsageError } from '../../errors.ts';
import { remoteId, type RemoteSpec } from '../../model/remote-spec.ts';
import { describeIssues } from '../../store/schema.ts';
import { ApiClient } from '../../util/http/api-client.ts';
import { bearer, findHostKey } from '../../util/http/host-key.ts';
import { RequestGate } from '../../util/http/request-gate.ts';
import type { Patience } from '../../util/http/retry.ts';
import type { TokenLogprobs } from '../types.ts';

export interface RemoteOptions {
  /** Requests under way at once; default 64. */
  readonly concurrency?: number;
  readonly patience?: Patience;
  /** Told of pauses that a person would wonder about. */
  readonly onNote?: ((line: string) => void) | undefined;
  /** Default: the process's own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** How tokens are drawn, in the server's names; all that could have a default of the server's own is given. */
export interface RemoteSampling {
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly min_p: number;
  readonly repetition_penalty: number;
}

export const remoteGreedy: RemoteSampling = {
  temperature: 0,
  top_p: 1,
  top_k: -1,
  min_p: 0,
  repetition_penalty: 1,
};

export interface CompletionRequest {
  readonly ids: readonly number[];
  readonly maxTokens: number;
  readonly sampling?: RemoteSampling;
  readonly seed?: number;
  readonly ignoreEos?: boolean;
  /** Tokens that end a reply beside those that the server knows. */
  readonly stopIds?: readonly number[];
  readonly stop?: readonly string[];
  /** Log-probabilities of every new token, and of so many of the most likely ones. */
  readonly logprobs?: number | null;
  /** Log-probabilities of the prompt's own tokens. */
  readonly promptLogprobs?: boolean;
  /** Keys of the server's own. */
  readonly extra?: object;
  /** Bytes of the answer at most. */
  readonly limit?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Completion {
  /** New tokens, with the one that ended the reply, where one did. */
  readonly ids: readonly number[];
  /** Whether a token or a string ended it. */
  readonly stopped: boolean;
  /** The string that did; null where a token did. */
  readonly stopString: string | null;
  readonly logprobs: readonly TokenLogprobs[] | null;
  /** log p of each of the prompt's tokens given those before it; the first has none. */
  readonly promptLogprobs: readonly (number | null)[] | null;
  /** All of the answer. */
  readonly answer: unknown;
}

/** A step of a large model may take minutes where the server is busy, and nothing comes before it is done. */
const patience: Patience = { attempts: 6, firstPauseMs: 1000, longestPauseMs: 60_000, stallMs: 900_000 };
/** vLLM runs more side by side, in memory that it has; what more a queue of ours would hold only waits there. */
const CONCURRENCY = 64;

const modelsSchema = z.object({
  data: z.array(z.object({ id: z.string(), max_model_len: z.int().positive().nullish() })),
});
const id = z.int().nonnegative();
const choiceSchema = z.object({
  token_ids: z.array(id).nullish(),
  prompt_token_ids: z.array(id).nullish(),
  finish_reason: z.string().nullish(),
  stop_reason: z.union([z.string(), z.number()]).nullish(),
  logprobs: z
    .object({
      tokens: z.array(z.string()),
      token_logprobs: z.array(z.number().nullable()),
      top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
    })
    .nullish(),
  prompt_logprobs: z.array(z.record(z.string(), z.object({ logprob: z.number() })).nullable()).nullish(),
});
type Choice = z.infer<typeof choiceSchema>;
const answerSchema = z.object({ choices: z.array(choiceSchema).length(1) });

/** vLLM's completions, with tokens in and tokens out. */
export class Completions {
  readonly spec: RemoteSpec;
  readonly id: string;
  readonly #client: ApiClient;

  /** @throws UsageError where a key would go over the network in clear text. */
  constructor(spec: RemoteSpec, options: RemoteOptions = {}) {
    this.spec = spec;
    this.id = remoteId(spec);
    const key = findHostKey(spec.base, options.environment);
    this.#client = new ApiClient({
      id: this.id,
      base: spec.base,
      headers: bearer(key),
      key,
      patience: options.patience ?? patience,
      gate: new RequestGate({ concurrency: options.concurrency ?? CONCURRENCY }),
      onNote: options.onNote,
    });
  }

  /** Longest row that the server runs, in tokens; null where it does not say. @throws UsageError where it lacks the model. */
  async context(): Promise<number | null> {
    const models = this.#parse(modelsSchema, await this.#client.get('models', undefined));
    const found = models.data.find((one) => one.id === this.spec.model);
    if (found !== undefined) return found.max_model_len ?? null;
    const names = models.data.map((one) => JSON.stringify(one.id)).slice(0, 8);
    throw new UsageError(
      `Expected ${this.spec.base} to serve ${JSON.stringify(this.spec.model)}, got ${names.join(', ') || 'no model'}; name one of these after "#".`,
      { details: { base: this.spec.base, model: this.spec.model } },
    );
  }

  /** Another path of the server's. @throws as `ApiClient`. */
  async get(path: string): Promise<unknown> {
    return this.#client.get(path, undefined);
  }

  /** @throws ApiRefusal for what the server refuses; ParseError for an answer of another shape; UsageError; AbortError. */
  async complete(request: CompletionRequest): Promise<Completion> {
    const body = requestBody(this.spec.model, request);
    const answer = await this.#client.post('completions', body, request.signal, request.limit);
    const [choice] = this.#parse(answerSchema, answer).choices as [Choice];
    const { token_ids: ids, prompt_token_ids: prompt } = choice;
    if (ids == null || prompt == null)
      throw new UsageError(
        `Expected ${this.id} to give token ids ("return_token_ids"), got none; it needs vLLM 0.10.2 or later.`,
        { details: { model: this.id } },
      );
    if (prompt.length !== request.ids.length || prompt.some((token, i) => token !== request.ids[i]))
      throw this.wrong('it ran other tokens than it was sent');
    return {
      ids,
      stopped: choice.finish_reason === 'stop',
      stopString: typeof choice.stop_reason === 'string' ? choice.stop_reason : null,
      logprobs: this.#logprobs(choice, request),
      promptLogprobs: request.promptLogprobs === true ? this.#promptLogprobs(choice, request.ids) : null,
      answer,
    };
  }

  /** The error for an answer that cannot be right. */
  wrong(problem: string): ParseError {
    return new ParseError(
      `${this.id} answers as no such server does: ${problem}; check its version, and what stands between.`,
      { details: { model: this.id } },
    );
  }

  #parse<T>(schema: z.ZodType<T>, value: unknown): T {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw this.wrong(describeIssues(parsed.error));
  }

  #logprobs(
    { logprobs, token_ids }: Choice,
    { logprobs: wanted }: CompletionRequest,
  ): TokenLogprobs[] | null {
    if (wanted == null) return null;
    const ids = token_ids!;
    if (logprobs?.tokens.length !== ids.length) throw this.wrong('it lacks log-probabilities of its tokens');
    return ids.map((token, i) => {
      const logprob = logprobs.token_logprobs[i];
      if (logprob == null) throw this.wrong('it lacks the log-probability of a token');
      const top = Object.entries(logprobs.top_logprobs[i] ?? {}).map(([name, value]) => ({
        id: this.#tokenId(name),
        logprob: value,
      }));
      return { id: token, logprob, top: top.sort((a, b) => b.logprob - a.logprob).slice(0, wanted) };
    });
  }

  #tokenId(name: string): number {
    const number = /^token_id:(\d+)$/.exec(name)?.[1];
    if (number === undefined) throw this.wrong('it names tokens otherwise than by their ids');
    return Number(number);
  }

  #promptLogprobs({ prompt_logprobs }: Choice, ids: readonly number[]): (number | null)[] {
    if (prompt_logprobs?.length !== ids.length)
      throw this.wrong("it lacks log-probabilities of the prompt's tokens");
    return ids.map((token, i) => {
      const found = prompt_logprobs[i]?.[String(token)]?.logprob ?? null;
      if (found === null && i > 0)
        throw this.wrong(`it lacks the log-probability of the prompt's token ${i + 1}`);
      return found;
    });
  }
}

function requestBody(model: string, request: CompletionRequest): object {
  const { ids, maxTokens, seed, logprobs, promptLogprobs, ignoreEos, stopIds = [], stop = [] } = request;
  return {
    model,
    prompt: ids,
    max_tokens: maxTokens,
    ...(request.sampling ?? remoteGreedy),
    ...(seed === undefined ? {} : { seed }),
    ...(ignoreEos === true ? { ignore_eos: true } : { stop_token_ids: stopIds }),
    ...(stop.length === 0 ? {} : { stop }),
    ...(logprobs == null ? {} : { logprobs, return_tokens_as_token_ids: true }),
    ...(promptLogprobs === true ? { prompt_logprobs: 0 } : {}),
    return_token_ids: true,
    stream: false,
    ...request.extra,
  };
}
