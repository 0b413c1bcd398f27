/** What the descriptions of routes have in common. */

import { z } from '@hono/zod-openapi';
import * as api from './api.ts';

export const json = (schema: z.ZodType) => ({ content: { 'application/json': { schema } } });
const failure = { ...json(api.errorBody), description: 'OpenAI error object' };
export const answer = (schema: z.ZodType, description: string) => ({
  200: { ...json(schema), description },
  400: failure,
  401: failure,
  403: failure,
  404: failure,
  429: failure,
  503: failure,
});
export const named = { params: z.object({ name: z.string() }) };
/** Header of calls that change something. */
export const token = z.object({ 'x-persona-token': z.string() });
