import { createHash } from 'node:crypto';
import { z } from 'zod';
import { UsageError } from '../errors.ts';
import type { Letter } from '../store/monitor/outbox.ts';
import { isPrivate } from '../util/http/hosts.ts';
import type { Courier, Outcome } from './outbox.ts';

/** Milliseconds that a service has to answer. */
const answerTime = 20_000;
/** Turns that are sent at once. */
const atOnce = 50;

/** A turn's numbers, as the store keeps them for other services. */
const turnSchema = z.object({
  conversation: z.string(),
  index: z.int(),
  model: z.string(),
  key: z.string().nullable(),
  time: z.number(),
  scores: z.array(
    z.object({
      vector: z.string(),
      layer: z.int(),
      before: z.number(),
      mean: z.number().nullable(),
      z: z.number().nullable(),
      percentile: z.number().nullable(),
    }),
  ),
  trace: z.object({ trace_id: z.string(), span_id: z.string() }).nullable(),
  text: z.object({ user: z.string(), assistant: z.string() }).nullable(),
});
type ForwardedTurn = z.infer<typeof turnSchema>;

/** Where scores go. */
export interface ForwardTarget {
  readonly kind: 'langfuse' | 'phoenix';
  /** Such as https://cloud.langfuse.com, without a slash at the end. */
  readonly base: string;
  /** The header that lets us in; null where none is needed. */
  readonly authorization: string | null;
  /** Whether texts are sent too. */
  readonly text: boolean;
  /** Phoenix's project. */
  readonly project: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads `langfuse=https://…` or `phoenix=http://…`, and the keys from the environment: LANGFUSE_PUBLIC_KEY and
 * LANGFUSE_SECRET_KEY; PHOENIX_API_KEY where Phoenix wants one, and PHOENIX_PROJECT_NAME.
 *
 * @throws UsageError where something is missing, or a key would go over the network in clear text.
 */
export function parseForward(
  text: string,
  withText: boolean,
  environment: Environment = process.env,
): ForwardTarget {
  const [kind, address = ''] = text.split(/=(.*)/s);
  if ((kind !== 'langfuse' && kind !== 'phoenix') || !/^https?:/.test(address) || !URL.canParse(address))
    throw new UsageError(
      `Expected --forward langfuse=URL or phoenix=URL, got ${JSON.stringify(text)}; such as langfuse=https://cloud.langfuse.com.`,
    );
  const url = new URL(address);
  const base = `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
  const authorization = kind === 'langfuse' ? langfuseKeys(environment) : phoenixKey(environment);
  if (authorization !== null && !isPrivate(url))
    throw new UsageError(
      `Expected https for ${base}, because a key goes there that everyone on the way could read.`,
    );
  const project = environment['PHOENIX_PROJECT_NAME'] || 'default';
  return { kind, base, authorization, text: withText, project };
}

function langfuseKeys(environment: Environment): string {
  const [user, password] = [environment['LANGFUSE_PUBLIC_KEY'], environment['LANGFUSE_SECRET_KEY']];
  if (!user || !password)
    throw new UsageError(
      'Expected LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY for --forward langfuse, got none.',
    );
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function phoenixKey(environment: Environment): string | null {
  const key = environment['PHOENIX_API_KEY'];
  return key ? `Bearer ${key}` : null;
}

/** Sends turns' scores to a service by its HTTP API. */
export function forwardCourier(target: ForwardTarget): Courier {
  const deliver = target.kind === 'langfuse' ? toLangfuse : toPhoenix;
  return {
    kind: target.kind,
    atOnce,
    deliver: async (letters) => {
      try {
        return await deliver(letters, target);
      } catch (error) {
        const failed = {
          sent: false,
          error: error instanceof Error ? error.message : String(error),
          over: false,
        } as const;
        return letters.map(() => failed);
      }
    },
  };
}

/** The numbers of a turn that have one, under names that sort together. */
function namedScores({ scores }: ForwardedTurn): { readonly name: string; readonly value: number }[] {
  return scores.flatMap(({ vector, mean, z: score, percentile }) =>
    Object.entries({ projection: mean, z: score, percentile }).flatMap(([of, value]) =>
      value === null ? [] : [{ name: `persona.${vector}.${of}`, value }],
    ),
  );
}

/**
 * Langfuse's batch of events: numeric scores of the trace that the request belongs to, else of the session that is the
 * conversation. With texts a trace is made for each turn. Events with an id that is known are not taken twice.
 */
async function toLangfuse(letters: readonly Letter[], target: ForwardTarget): Promise<Outcome[]> {
  const batch = letters.flatMap((letter) => langfuseEvents(letter.id, readTurn(letter), target.text));
  const answer = await send(target, '/api/public/ingestion', { batch });
  if (answer.status !== 207 && answer.status !== 200) return letters.map(() => refused(answer));
  const { errors } = z
    .object({
      errors: z.array(z.object({ id: z.string(), status: z.int(), message: z.string().optional() })),
    })
    .catch({ errors: [] })
    .parse(answer.body);
  return letters.map(({ id }) => {
    const error = errors.find((one) => one.id === id || one.id.startsWith(`${id}-`));
    if (error === undefined) return { sent: true };
    const over = error.status >= 400 && error.status < 500 && error.status !== 429;
    return { sent: false, error: error.message ?? `status ${error.status}`, over };
  });
}

function langfuseEvents(id: string, turn: ForwardedTurn, withText: boolean): object[] {
  const { conversation, time, trace, text, index, model } = turn;
  const timestamp = new Date(time).toISOString();
  const own =
    withText && trace === null && text !== null ? hexOf(`${conversation} ${index} ${time}`, 32) : null;
  const place =
    trace !== null
      ? { traceId: trace.trace_id, observationId: trace.span_id }
      : own !== null
        ? { traceId: own }
        : { sessionId: conversation };
  const said =
    own === null
      ? []
      : [
          {
            id: `${id}-trace`,
            timestamp,
            type: 'trace-create',
            body: {
              id: own,
              timestamp,
              name: model,
              sessionId: conversation,
              input: text!.user,
              output: text!.assistant,
            },
          },
        ];
  const scores = namedScores(turn).map(({ name, value }) => ({
    id: `${id}-${name}`,
    timestamp,
    type: 'score-create',
    body: {
      id: hexOf(`${conversation} ${index} ${time} ${name}`, 32),
      ...place,
      name,
      value,
      dataType: 'NUMERIC',
      metadata: { conversation, turn: index, model },
    },
  }));
  return [...said, ...scores];
}

/**
 * Phoenix's annotations of the span that the request belongs to. Without one a span is made for each turn, with the
 * conversation as its session; annotations with an identifier that is known replace those before.
 */
async function toPhoenix(letters: readonly Letter[], target: ForwardTarget): Promise<Outcome[]> {
  const turns = letters.map(readTurn);
  const made = turns.filter(({ trace }) => trace === null).map((turn) => phoenixSpan(turn, target.text));
  const taken = await putSpans(made, target);
  if (taken !== null) return letters.map(() => refused(taken));
  // Phoenix holds annotations back until their spans have come, wherever from.
  const answer = await send(target, '/v1/span_annotations', { data: turns.flatMap(phoenixAnnotations) });
  return letters.map(() => (isFine(answer) ? { sent: true } : refused(answer)));
}

type PhoenixSpan = ReturnType<typeof phoenixSpan>;

/** Makes spans; those of an attempt of which nothing was noted are there already. Gives the answer that is a refusal. */
async function putSpans(spans: readonly PhoenixSpan[], target: ForwardTarget): Promise<Answer | null> {
  if (spans.length === 0) return null;
  const path = `/v1/projects/${encodeURIComponent(target.project)}/spans`;
  const answer = await send(target, path, { data: spans });
  if (isFine(answer)) return null;
  const known = duplicatesOf(answer.body);
  const fresh = spans.filter(({ context }) => !known.includes(context.span_id));
  if (known.length === 0 || fresh.length === spans.length) return answer;
  return putSpans(fresh, target);
}

/** The ids of the spans for which Phoenix refuses a batch, where it is for nothing else. */
function duplicatesOf(body: unknown): string[] {
  const schema = z.object({
    total_invalid: z.literal(0),
    duplicate_spans: z.array(z.object({ span_id: z.string() })),
  });
  // FastAPI puts what an error says into `detail`, here as JSON in a text.
  const detail = (body as { detail?: unknown } | null)?.detail;
  const said = typeof detail === 'string' ? parseJson(detail) : (detail ?? body);
  const parsed = schema.safeParse(said);
  return parsed.success ? parsed.data.duplicate_spans.map(({ span_id }) => span_id) : [];
}

function spanOf({ trace, conversation, index, time }: ForwardedTurn): { trace_id: string; span_id: string } {
  const own = `${conversation} ${index} ${time}`;
  return trace ?? { trace_id: hexOf(own, 32), span_id: hexOf(`span ${own}`, 16) };
}

function phoenixSpan(
  turn: ForwardedTurn,
  withText: boolean,
): { readonly context: ReturnType<typeof spanOf> } & Readonly<Record<string, unknown>> {
  const { conversation, time, model, text } = turn;
  const at = new Date(time).toISOString();
  return {
    name: 'persona turn',
    context: spanOf(turn),
    span_kind: 'LLM',
    parent_id: null,
    start_time: at,
    end_time: at,
    status_code: 'OK',
    attributes: {
      'session.id': conversation,
      'llm.model_name': model,
      ...(withText && text !== null && { 'input.value': text.user, 'output.value': text.assistant }),
    },
  };
}

function phoenixAnnotations(turn: ForwardedTurn): object[] {
  const { span_id } = spanOf(turn);
  const { conversation, index, model } = turn;
  return namedScores(turn).map(({ name, value }) => ({
    span_id,
    name,
    annotator_kind: 'CODE',
    result: { score: value },
    metadata: { conversation, turn: index, model },
    identifier: 'persona-vectors',
  }));
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function send({ base, authorization }: ForwardTarget, path: string, body: object): Promise<Answer> {
  const response = await fetch(`${base}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(authorization !== null && { authorization }),
    },
    body: JSON.stringify(body),
    // A key goes to its own host only.
    redirect: 'manual',
    signal: AbortSignal.timeout(answerTime),
  });
  return { status: response.status, body: parseJson(await response.text()) };
}

/** Null for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isFine({ status }: Answer): boolean {
  return status >= 200 && status < 300;
}

/** Another attempt helps where the service was busy or down, or its keys are to be mended. */
function refused({ status }: Answer): Outcome {
  return { sent: false, error: `status ${status}`, over: [400, 413, 422].includes(status) };
}

function readTurn({ body }: Letter): ForwardedTurn {
  return turnSchema.parse(JSON.parse(body));
}

function hexOf(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}
