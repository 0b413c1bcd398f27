import { randomInt } from 'node:crypto';
import type { Generated, GenerateOptions, GenerateRow, TokenEvent } from '../engine/types.ts';
import { defaultMaxTokens, encodePrompt, type GenerateInput } from '../apps/generate.ts';
import { AsyncQueue } from '../util/async-queue.ts';
import { defined } from '../util/defined.ts';
import type { ChatRequest, CompletionRequest } from './api.ts';
import { HttpFailure } from './failure.ts';
import type { Asked, TurnPlace, WatchedReplies } from './monitor.ts';
import { readPersona, type RequestPersona } from './persona.ts';
import type { Limits, ServedModel, ServerSettings } from './settings.ts';

/** Replies to make: rows for the engine, in the order of the choices. */
export interface ReplyPlan {
  readonly served: ServedModel;
  readonly rows: readonly GenerateRow[];
  readonly options: GenerateOptions;
  readonly persona: RequestPersona;
  readonly promptTokens: number;
}

/** One of the protocol's two ways to ask for replies and to give them. */
export interface ReplyForm<Request> {
  /** How many replies a request asks for. */
  readonly count: (request: Request) => number;
  /** @throws what a client is to be told, before anything runs. */
  readonly plan: (request: Request, settings: ServerSettings) => Promise<ReplyPlan>;
  /** The answer to a request that is not streamed. */
  readonly whole: (plan: ReplyPlan, results: readonly RepliedTurn[]) => object;
  /** What was said before each reply, by prompt. */
  readonly prompts: (request: Request) => Asked['prompts'];
  readonly stream: (plan: ReplyPlan) => ReplyStream;
}

/** Turns events into the chunks of a stream, each an object to be sent. */
export interface ReplyStream {
  begin(): object[];
  next(event: ReplyEvent): object[];
  usage(results: readonly Generated[]): object;
}

export type ReplyEvent = { readonly token: TokenEvent } | RepliedTurn;
/** A reply, and where it is kept. */
export interface RepliedTurn {
  readonly result: Generated;
  readonly turn: TurnPlace | null;
}

/** What chat and completion requests have in common. */
type Sampling = Omit<ChatRequest | CompletionRequest, 'logprobs' | 'messages' | 'prompt'>;

/** @throws what a client is to be told, before anything runs. */
export async function planReplies(
  request: Sampling,
  inputs: readonly GenerateInput[],
  wanted: { readonly maxTokens: number | null | undefined; readonly logprobs: number | undefined },
  { models, vectors, limits }: Pick<ServerSettings, 'models' | 'vectors' | 'limits'>,
): Promise<ReplyPlan> {
  const served = findModel(models, request.model);
  const { checkpoint } = served.model;
  const persona = await readPersona(request.persona, checkpoint, vectors);
  const { interventions, history } = persona;
  const prompts = inputs.map((input) => ({ ...encodePrompt(input, checkpoint, history), interventions }));
  const longest = Math.max(...prompts.map(({ ids }) => ids.length));
  const maxTokens = checkedMaxTokens(wanted.maxTokens, longest, served, limits);
  const n = request.n ?? 1;
  const rows = prompts.flatMap((row) => Array.from({ length: n }, (_, i) => ({ ...row, key: String(i) })));
  return {
    served,
    rows,
    options: {
      ...samplingOf(request),
      maxTokens,
      ...defined({ logprobs: wanted.logprobs }),
      ...projectOf(persona),
    },
    persona,
    promptTokens: prompts.reduce((sum, { ids }) => sum + ids.length, 0),
  };
}

export function findModel(models: readonly ServedModel[], id: string): ServedModel {
  const found = models.find((one) => one.id === id);
  if (found !== undefined) return found;
  throw new HttpFailure(
    404,
    `found no model ${JSON.stringify(id.slice(0, 100))}; this server has ${models.map((one) => one.id).join(', ')}`,
    { code: 'model_not_found', param: 'model' },
  );
}

function checkedMaxTokens(
  asked: number | null | undefined,
  prompt: number,
  { model }: ServedModel,
  limits: Limits,
): number {
  const context = Math.min(model.checkpoint.config.maxPositions, limits.context ?? Infinity);
  const refuse = (message: string): never => {
    throw new HttpFailure(400, message, { code: 'context_length_exceeded', param: 'max_tokens' });
  };
  if (prompt >= context)
    return refuse(`expected a prompt of less than ${context} tokens (the context), got ${prompt}`);
  if (asked === null || asked === undefined)
    return Math.min(defaultMaxTokens(model.checkpoint, prompt), limits.maxTokens, context - prompt);
  if (prompt + asked > context)
    return refuse(
      `expected prompt and reply within the context of ${context} tokens, got ${prompt} and up to ${asked} new ones`,
    );
  if (asked > limits.maxTokens)
    return refuse(`expected at most ${limits.maxTokens} new tokens (this server's limit), got ${asked}`);
  return asked;
}

/** As OpenAI's: sampled at temperature 1 unless told otherwise, and another seed every time. */
function samplingOf(request: Sampling): Omit<GenerateOptions, 'maxTokens'> {
  const { stop } = request;
  return {
    temperature: request.temperature ?? 1,
    topP: request.top_p ?? 1,
    topK: request.top_k ?? 0,
    minP: request.min_p ?? 0,
    repetitionPenalty: request.repetition_penalty ?? 1,
    seed: request.seed ?? randomInt(2 ** 31),
    ...(stop !== null && stop !== undefined && { stop: typeof stop === 'string' ? [stop] : stop }),
  };
}

function projectOf({ watched }: RequestPersona): Pick<GenerateOptions, 'project'> {
  if (watched.length === 0) return {};
  return { project: watched.map(({ layer, vector }) => ({ layer, vector })) };
}

/** Runs a plan; its events as they come, the last one of each row being its result. `onToken` is called for each token. */
export async function* runReplies(
  { plan, record }: WatchedReplies,
  signal: AbortSignal,
  onToken: () => void,
): AsyncGenerator<ReplyEvent> {
  const queue = new AsyncQueue<ReplyEvent>();
  const begun = new BegunReplies();
  const ended = (async (): Promise<void> => {
    try {
      const take = (token: TokenEvent): void => {
        if (token.id !== null) onToken();
        begun.add(token);
        queue.push([{ token }]);
      };
      const results = plan.served.model.generate(plan.rows, { ...plan.options, onToken: take, signal });
      for await (const result of results) {
        begun.end(result.index);
        queue.push([{ result, turn: await record(result) }]);
      }
    } catch (error) {
      // A client has seen them, and goes on from them.
      await Promise.all(begun.brokenOff().map(record));
      throw error;
    } finally {
      queue.end();
    }
  })();
  // Thrown below, when what came before it has been taken.
  ended.catch(() => undefined);
  yield* queue;
  await ended;
}

/** What has come of replies that are watched and not ended yet. */
class BegunReplies {
  private readonly tokens = new Map<number, TokenEvent[]>();

  add(token: TokenEvent): void {
    if (token.projections === undefined) return;
    const tokens = this.tokens.get(token.index) ?? [];
    tokens.push(token);
    this.tokens.set(token.index, tokens);
  }

  end(index: number): void {
    this.tokens.delete(index);
  }

  /** Each as a reply that ends where it was broken off; nothing is known of the state after its last token. */
  brokenOff(): Generated[] {
    return [...this.tokens].map(([index, tokens]) => {
      const width = tokens[0]!.projections!.length;
      const projections = new Float32Array(tokens.length * width);
      for (const [i, token] of tokens.entries()) projections.set(token.projections!, i * width);
      const ids = tokens.flatMap(({ id }) => (id === null ? [] : [id]));
      const text = tokens.map((token) => token.text).join('');
      return { index, ids, text, finishReason: 'cancelled', projections, pooled: {} };
    });
  }
}

/** All results of a plan, in the order of its rows. */
export async function collectReplies(
  { plan, record }: WatchedReplies,
  signal: AbortSignal,
): Promise<RepliedTurn[]> {
  const results: RepliedTurn[] = [];
  for await (const result of plan.served.model.generate(plan.rows, { ...plan.options, signal }))
    results[result.index] = { result, turn: await record(result) };
  return results;
}
