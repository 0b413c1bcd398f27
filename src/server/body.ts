import type { z } from '@hono/zod-openapi';
import { UsageError } from '../errors.ts';
import { describeIssues } from '../store/schema.ts';
import { HttpFailure } from './failure.ts';
import type { ServerContext } from './request-log.ts';
import type { ServerSettings } from './settings.ts';

/**
 * A request's JSON body.
 * @throws HttpFailure 413 for one of too many bytes, of which no more is read; 400 where it is none of the schema's.
 */
export async function readBody<T>(
  c: ServerContext,
  schema: z.ZodType<T>,
  { limits, logText }: Pick<ServerSettings, 'limits' | 'logText'>,
): Promise<T> {
  const text = await readText(c, limits.bodyBytes);
  if (logText) c.set('text', text);
  return checked(schema, parseJson(text));
}

/** Whoever says its length is held to it by Node, and is spared a stream of its own, which costs more than all other checks. */
async function readText(c: ServerContext, most: number): Promise<string> {
  const { headers } = c.req.raw;
  const length = headers.get('content-length');
  if (length === null || headers.has('transfer-encoding')) return readCounted(c.req.raw.body, most);
  if (!(Number(length) <= most)) throw tooLong(most);
  return c.req.text();
}

async function readCounted(body: ReadableStream<Uint8Array> | null, most: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > most) throw tooLong(most);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function tooLong(most: number): HttpFailure {
  return new HttpFailure(413, `expected a body of at most ${most} bytes, got more`);
}

/** A request's query; HttpFailure 400 where it is none of the schema's. */
export function readQuery<T>(c: ServerContext, schema: z.ZodType<T>): T {
  return checked(schema, c.req.query());
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const param = parsed.error.issues[0]?.path.map(String).join('.') ?? '';
  throw new HttpFailure(400, describeIssues(parsed.error), {
    code: 'invalid_request',
    ...(param !== '' && { param: param.slice(0, 200) }),
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`expected JSON, but ${cause instanceof Error ? cause.message : 'it is none'}`, {
      cause,
    });
  }
}
