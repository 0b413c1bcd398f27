/**
 * A client of `persona serve`, typed by the server's own schemas. For chat and completions any client of OpenAI's protocol
 * works as well; this one knows the `persona` field, vectors and activations.
 */

import type {
  ActivationsRequest,
  ActivationsResult,
  Capabilities,
  ChatChunk,
  ChatCompletion,
  ChatRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
  ErrorBody,
  ModelList,
  VectorFacts,
} from './api.ts';
import type {
  AlertItem,
  AlertPage,
  AlertQuery,
  ConversationDetail,
  ConversationPage,
  ConversationQuery,
  DetailQuery,
  MonitorSummary,
  PolicyItem,
  PolicyList,
  PolicyRequest,
  SummaryQuery,
  TurnEvent,
} from './monitor-api.ts';
import type {
  LogQuery,
  RunDetail,
  RunItem,
  RunList,
  RunLog,
  RunNews,
  RunOptions,
  RunRequest,
} from './runs-api.ts';
import {
  exportPath,
  isError,
  queryOf,
  runPath,
  screenPath,
  serverEvents,
  ServerRefusal,
  vectorPath,
} from './client-parts.ts';
import type {
  HistogramQuery,
  ScreenDetail,
  ScreenExportQuery,
  ScreenHistogram,
  ScreenItem,
  ScreenList,
  ScreenRows,
  ScreenRowsQuery,
  ScreenRowText,
} from './screen-api.ts';
import type { CosinesQuery, VectorCosines, VectorLayers, VectorValidation } from './vectors-api.ts';

export { ServerRefusal } from './client-parts.ts';
export type { VectorCosines, VectorLayers, VectorValidation } from './vectors-api.ts';
export type {
  ScreenDetail,
  ScreenHistogram,
  ScreenItem,
  ScreenRows,
  ScreenRowText,
} from './screen-api.ts';
export type {
  RunDetail,
  RunFile,
  RunItem,
  RunList,
  RunLog,
  RunNews,
  RunOptions,
  RunRequest,
  RunStatus,
} from './runs-api.ts';
export type {
  AlertItem,
  AlertPage,
  AlertQuery,
  ConversationDetail,
  ConversationItem,
  ConversationPage,
  ConversationQuery,
  MonitorSummary,
  PolicyItem,
  PolicyRequest,
  TurnEvent,
  TurnItem,
} from './monitor-api.ts';
export type {
  ActivationsRequest,
  ActivationsResult,
  Capabilities,
  ChatChunk,
  ChatCompletion,
  ChatRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
  ModelList,
  PersonaField,
  ReplyPersona,
  VectorFacts,
} from './api.ts';

export interface ClientOptions {
  /** Such as `http://127.0.0.1:8787`, the default. */
  readonly url?: string;
  readonly apiKey?: string;
  /** What the server printed; needed for what changes vectors, policies or runs, and where there are API keys for conversations and runs. */
  readonly token?: string;
  readonly fetch?: typeof globalThis.fetch;
}

/** An event of the server's store. */
export type MonitorNews =
  | { readonly id: string; readonly event: 'turn'; readonly data: TurnEvent }
  | { readonly id: string; readonly event: 'alert'; readonly data: AlertItem };

/** What becomes of runs: one that changed, or one that is removed. */
export type RunsNews =
  | { readonly event: 'run'; readonly data: RunItem }
  | { readonly event: 'removed'; readonly data: { readonly id: string } };

type Whole<T> = Omit<T, 'stream' | 'stream_options'>;
type Streamed<T> = Omit<T, 'stream'>;

/** Every method throws `ServerRefusal` with the server's sentence where it refuses. */
export class PersonaClient {
  private readonly url: string;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly fetch: typeof globalThis.fetch;

  constructor(options: ClientOptions = {}) {
    this.url = (options.url ?? 'http://127.0.0.1:8787').replace(/\/$/, '');
    this.headers = {
      ...(options.apiKey !== undefined && { authorization: `Bearer ${options.apiKey}` }),
      ...(options.token !== undefined && { 'x-persona-token': options.token }),
    };
    // A browser's own fetch is none of an object's methods.
    this.fetch = options.fetch ?? ((...request) => globalThis.fetch(...request));
  }

  models(): Promise<ModelList> {
    return this.ask('GET', '/v1/models');
  }

  chat(request: Whole<ChatRequest>, signal?: AbortSignal): Promise<ChatCompletion> {
    return this.ask('POST', '/v1/chat/completions', request, signal);
  }

  complete(request: Whole<CompletionRequest>, signal?: AbortSignal): Promise<Completion> {
    return this.ask('POST', '/v1/completions', request, signal);
  }

  /** The chunks of a chat as they come; whoever stops taking them ends the reply. */
  streamChat(request: Streamed<ChatRequest>, signal?: AbortSignal): AsyncGenerator<ChatChunk> {
    return this.chunks('/v1/chat/completions', request, signal);
  }

  /** As `streamChat`. */
  streamCompletion(
    request: Streamed<CompletionRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<CompletionChunk> {
    return this.chunks('/v1/completions', request, signal);
  }

  activations(request: ActivationsRequest, signal?: AbortSignal): Promise<ActivationsResult> {
    return this.ask('POST', '/v1/activations', request, signal);
  }

  capabilities(): Promise<Capabilities> {
    return this.ask('GET', '/persona/capabilities');
  }

  async vectors(): Promise<readonly VectorFacts[]> {
    return (await this.ask<{ vectors: VectorFacts[] }>('GET', '/persona/vectors')).vectors;
  }

  /** A vector file's bytes: this package's, a `.pt` of the paper's authors, or a GGUF control vector. */
  putVector(
    name: string,
    bytes: Uint8Array<ArrayBuffer>,
    about: Readonly<Record<string, string>> = {},
  ): Promise<VectorFacts> {
    return this.result(vectorPath(name, queryOf(about)), {
      method: 'PUT',
      headers: { ...this.headers, 'content-type': 'application/octet-stream' },
      body: bytes,
    });
  }

  async deleteVector(name: string): Promise<void> {
    await this.ask('DELETE', vectorPath(name));
  }

  /** A vector's norms by layer, and where it came from. */
  vectorLayers(name: string): Promise<VectorLayers> {
    return this.ask('GET', vectorPath(name, '/layers'));
  }

  /** What a vector was measured to do, by layer and strength. */
  vectorValidation(name: string): Promise<VectorValidation> {
    return this.ask('GET', vectorPath(name, '/validation'));
  }

  /** A vector's file, whole. */
  async vectorFile(name: string): Promise<Blob> {
    return (await this.send(vectorPath(name, '/file'), { headers: this.headers })).blob();
  }

  /** Cosines of the server's vectors with each other at a layer. */
  vectorCosines(query: CosinesQuery = {}): Promise<VectorCosines> {
    return this.ask('GET', `/persona/cosines${queryOf(query)}`);
  }

  /** Conversations of the server's store, the newest first; `cursor` is the `next_cursor` of the page before. */
  conversations(query: ConversationQuery = {}): Promise<ConversationPage> {
    return this.ask('GET', `/persona/conversations${queryOf(query)}`);
  }

  conversation(id: string, query: DetailQuery = {}): Promise<ConversationDetail> {
    return this.ask('GET', `/persona/conversations/${encodeURIComponent(id)}${queryOf(query)}`);
  }

  alerts(query: AlertQuery = {}): Promise<AlertPage> {
    return this.ask('GET', `/persona/alerts${queryOf(query)}`);
  }

  summary(query: SummaryQuery = {}): Promise<MonitorSummary> {
    return this.ask('GET', `/persona/monitor/summary${queryOf(query)}`);
  }

  async policies(): Promise<readonly PolicyItem[]> {
    return (await this.ask<PolicyList>('GET', '/persona/policies')).data;
  }

  putPolicy(name: string, policy: PolicyRequest): Promise<PolicyItem> {
    return this.ask('PUT', `/persona/policies/${encodeURIComponent(name)}`, policy);
  }

  async deletePolicy(name: string): Promise<void> {
    await this.ask('DELETE', `/persona/policies/${encodeURIComponent(name)}`);
  }

  /** The finished screenings in the server's folders. */
  async screens(): Promise<readonly ScreenItem[]> {
    return (await this.ask<ScreenList>('GET', '/persona/screens')).data;
  }

  screen(id: string): Promise<ScreenDetail> {
    return this.ask('GET', screenPath(id));
  }

  screenHistogram(id: string, query: HistogramQuery): Promise<ScreenHistogram> {
    return this.ask('GET', `${screenPath(id)}/histogram${queryOf(query)}`);
  }

  screenRows(id: string, query: ScreenRowsQuery, signal?: AbortSignal): Promise<ScreenRows> {
    return this.ask('GET', `${screenPath(id)}/rows${queryOf(query)}`, undefined, signal);
  }

  screenRow(id: string, row: number): Promise<ScreenRowText> {
    return this.ask('GET', `${screenPath(id)}/rows/${row}`);
  }

  /** The JSON lines of the flagged rows, or of the others, as they come. */
  async exportScreen(id: string, query: ScreenExportQuery): Promise<ReadableStream<Uint8Array>> {
    return (await this.send(exportPath(id, query), { headers: this.headers })).body!;
  }

  /** Turns and alerts as they come, for as long as the server runs; with the id of an event, from the one after it. */
  async *events(lastEventId?: string, signal?: AbortSignal): AsyncGenerator<MonitorNews> {
    const last = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const response = await this.send('/persona/events', {
      headers: { ...this.headers, ...last },
      ...(signal !== undefined && { signal }),
    });
    for await (const { id, event, data } of serverEvents(response.body!))
      if (id !== undefined) yield { id, event, data: JSON.parse(data) } as MonitorNews;
  }

  /** Runs of the server, the newest first. */
  runs(): Promise<RunList> {
    return this.ask('GET', '/persona/runs');
  }

  /** What a request of a run can name. */
  runOptions(): Promise<RunOptions> {
    return this.ask('GET', '/persona/runs/options');
  }

  /** An extraction, a training or an experiment, which begins when there is room. */
  startRun(request: RunRequest): Promise<RunItem> {
    return this.ask('POST', '/persona/runs', request);
  }

  run(id: string): Promise<RunDetail> {
    return this.ask('GET', runPath(id));
  }

  /** Stops a run after the step in hand. */
  stopRun(id: string): Promise<RunItem> {
    return this.ask('POST', runPath(id, '/stop'), {});
  }

  /** Goes on with a run that was stopped, cut off or failed. */
  resumeRun(id: string): Promise<RunItem> {
    return this.ask('POST', runPath(id, '/resume'), {});
  }

  /** Removes a run that has ended, with its files. */
  async deleteRun(id: string): Promise<void> {
    await this.ask('DELETE', runPath(id));
  }

  /** A part of a run's log; without an offset its end. */
  runLog(id: string, query: LogQuery = {}): Promise<RunLog> {
    return this.ask('GET', runPath(id, `/log${queryOf(query)}`));
  }

  /** A file of a run's output, whole. */
  async runFile(id: string, path: string): Promise<Blob> {
    const file = path.split('/').map(encodeURIComponent).join('/');
    const { headers } = this;
    return (await this.send(runPath(id, `/files/${file}?download=true`), { headers })).blob();
  }

  /** A run as it changes, what is added to its log, and the steps of a training; for as long as the server runs. */
  async *runEvents(id: string, signal?: AbortSignal): AsyncGenerator<RunNews> {
    yield* this.news<RunNews>(runPath(id, '/events'), signal);
  }

  /** All runs as they change. */
  async *allRunEvents(signal?: AbortSignal): AsyncGenerator<RunsNews> {
    yield* this.news<RunsNews>('/persona/runs/events', signal);
  }

  private async *news<News>(path: string, signal: AbortSignal | undefined): AsyncGenerator<News> {
    const { headers } = this;
    const response = await this.send(path, { headers, ...(signal !== undefined && { signal }) });
    for await (const { event, data } of serverEvents(response.body!))
      if (event !== undefined) yield { event, data: JSON.parse(data) } as News;
  }

  private ask<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    return this.result(path, {
      method,
      headers: { ...this.headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal !== undefined && { signal }),
    });
  }

  private async *chunks<T>(
    path: string,
    request: object,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T> {
    const response = await this.send(path, {
      method: 'POST',
      headers: { ...this.headers, 'content-type': 'application/json' },
      body: JSON.stringify({ ...request, stream: true }),
      ...(signal !== undefined && { signal }),
    });
    for await (const { data } of serverEvents(response.body!)) {
      if (data === '[DONE]') return;
      const value = JSON.parse(data) as T | ErrorBody;
      if (isError(value)) throw new ServerRefusal(response.status, value.error.message, value.error.code);
      yield value;
    }
    throw new ServerRefusal(response.status, 'the stream ended before the reply', 'incomplete');
  }

  private async result<T>(path: string, init: RequestInit): Promise<T> {
    return (await (await this.send(path, init)).json()) as T;
  }

  private async send(path: string, init: RequestInit): Promise<Response> {
    const response = await this.fetch(`${this.url}${path}`, init);
    if (response.ok) return response;
    // What refuses may be a proxy, with a body of its own.
    const value: unknown = await response.json().catch(() => null);
    if (isError(value)) throw new ServerRefusal(response.status, value.error.message, value.error.code);
    throw new ServerRefusal(response.status, response.statusText, null);
  }
}
