import type { z } from '@hono/zod-openapi';
import { poolings } from '../engine/types.ts';
import { steeringForms } from '../persona/steering/spec.ts';
import { answerActivations } from './activations.ts';
import type { Admission } from './admission.ts';
import * as api from './api.ts';
import { readBody } from './body.ts';
import { chatForm } from './chat.ts';
import { completionForm } from './completions.ts';
import { Deadline } from './deadline.ts';
import type { Metrics } from './metrics.ts';
import { nameableVectors } from './persona.ts';
import type { Monitor, WatchedReplies } from './monitor.ts';
import { collectReplies, findModel, type ReplyForm, runReplies } from './replies.ts';
import type { ServerContext } from './request-log.ts';
import type { Limits, ServedModel, ServerSettings } from './settings.ts';
import { streamReplies } from './sse.ts';

/** Answers to what is asked of the models. */
export class Handlers {
  private readonly settings: ServerSettings;
  private readonly admission: Admission;
  private readonly metrics: Metrics;
  private readonly monitor: Monitor | null;
  private readonly started = Math.floor(Date.now() / 1000);

  constructor(settings: ServerSettings, admission: Admission, metrics: Metrics, monitor: Monitor | null) {
    this.settings = settings;
    this.admission = admission;
    this.metrics = metrics;
    this.monitor = monitor;
  }

  get limits(): Limits {
    return this.settings.limits;
  }

  models(): api.ModelList {
    return { object: 'list', data: this.settings.models.map((one) => this.entry(one)) };
  }

  model(id: string): api.ModelList['data'][number] {
    return this.entry(findModel(this.settings.models, id));
  }

  private entry({ id, model }: ServedModel): api.ModelList['data'][number] {
    const base = this.settings.models.find((one) => one.model === model.adapter?.base);
    const parent = base?.id ?? null;
    return { id, object: 'model', created: this.started, owned_by: 'persona-vectors', parent };
  }

  async chat(c: ServerContext): Promise<Response> {
    return this.reply(c, await this.body(c, api.chatRequest), chatForm);
  }

  async completions(c: ServerContext): Promise<Response> {
    return this.reply(c, await this.body(c, api.completionRequest), completionForm);
  }

  private async reply<Request extends api.ChatRequest | api.CompletionRequest>(
    c: ServerContext,
    request: Request,
    form: ReplyForm<Request>,
  ): Promise<Response> {
    const leave = this.admission.enter(form.count(request));
    const deadline = new Deadline(c.req.raw.signal, this.limits.seconds);
    const end = (): void => {
      deadline.clear();
      leave();
    };
    let streaming = false;
    try {
      const watched = await this.watch(c, request, form);
      const { plan } = watched;
      this.metrics.tokens.inc({ kind: 'prompt' }, plan.promptTokens);
      if (request.stream === true) {
        streaming = true;
        return this.stream(c, { request, form, watched, deadline, end });
      }
      const results = await collectReplies(watched, deadline.signal);
      for (const { result } of results) this.metrics.tokens.inc({ kind: 'reply' }, result.ids.length);
      return Response.json(form.whole(plan, results));
    } catch (error) {
      throw deadline.explain(error);
    } finally {
      if (!streaming) end();
    }
  }

  /** The plan of a request, with what the store adds where there is one. */
  private async watch<Request extends api.ChatRequest | api.CompletionRequest>(
    c: ServerContext,
    request: Request,
    form: ReplyForm<Request>,
  ): Promise<WatchedReplies> {
    const plan = await form.plan(request, this.settings);
    if (this.monitor === null) return { plan, record: () => Promise.resolve(null) };
    return this.monitor.watch(plan, {
      who: c.get('who') ?? null,
      conversation: request.persona?.conversation ?? null,
      prompts: form.prompts(request),
      traceparent: c.req.header('traceparent') ?? null,
    });
  }

  private stream<Request extends api.ChatRequest | api.CompletionRequest>(
    c: ServerContext,
    {
      request,
      form,
      watched,
      deadline,
      end,
    }: {
      readonly request: Request;
      readonly form: ReplyForm<Request>;
      readonly watched: WatchedReplies;
      readonly deadline: Deadline;
      readonly end: () => void;
    },
  ): Response {
    const onToken = (): void => this.metrics.tokens.inc({ kind: 'reply' });
    let ended = (): void => undefined;
    c.set('ended', new Promise((resolve) => (ended = resolve)));
    const env = c.env as { outgoing?: { destroy(): void } } | undefined;
    return streamReplies({
      chunks: form.stream(watched.plan),
      events: runReplies(watched, deadline.signal, onToken),
      withUsage: request.stream_options?.include_usage === true,
      waitingBytes: this.limits.waitingBytes,
      abort: deadline.abort,
      disconnect: () => env?.outgoing?.destroy(),
      explain: (error) => deadline.explain(error),
      onEnd: (error) => {
        end();
        c.set('error', error);
        ended();
      },
    });
  }

  async activations(c: ServerContext): Promise<Response> {
    const request = await this.body(c, api.activationsRequest);
    const leave = this.admission.enter(request.input.length);
    const deadline = new Deadline(c.req.raw.signal, this.limits.seconds);
    try {
      return Response.json(await answerActivations(request, this.settings, deadline.signal));
    } catch (error) {
      throw deadline.explain(error);
    } finally {
      deadline.clear();
      leave();
    }
  }

  async capabilities(): Promise<api.Capabilities> {
    const { models, limits, version, vectors } = this.settings;
    return {
      version,
      models: models.map(({ id, model: { checkpoint, precision, adapter } }) => ({
        id,
        layers: checkpoint.config.layers,
        width: checkpoint.config.width,
        context: checkpoint.config.maxPositions,
        precision,
        adapter: adapter === undefined ? null : { name: adapter.name, sha256: adapter.sha256 },
        chat: checkpoint.chatTemplate !== null,
      })),
      steering: { positions: ['all', 'prompt', 'response', 'boundary'], forms: [...steeringForms] },
      poolings: [...poolings],
      vectors: await nameableVectors(vectors),
      limits: { ...limits },
    };
  }

  private body<T>(c: ServerContext, schema: z.ZodType<T>): Promise<T> {
    return readBody(c, schema, this.settings);
  }
}
