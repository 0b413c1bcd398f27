import type { z } from '@hono/zod-openapi';
import { UsageError } from '../errors.ts';
import { describeIssues } from '../store/schema.ts';
import { HttpFailure } from './failure.ts';
import type { ServerContext } from './request-log.ts';

/** A request's JSON body; HttpFailure 400 where it is none of the schema's. */
export async function readBody<T>(c: ServerContext, schema: z.ZodType<T>, logText: boolean): Promise<T> {
  const text = await c.req.text();
  if (logText) c.set('text', text);
  return checked(schema, parseJson(text));
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
