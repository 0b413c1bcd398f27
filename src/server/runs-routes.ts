import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { answer, json, token } from './route-parts.ts';
import * as api from './runs-api.ts';

const params = z.object({ id: z.string() });
const one = { params };
const after = z.object({ 'last-event-id': z.string().optional() });

/** Describes the routes of runs. */
export function registerRunRoutes(registry: OpenAPIHono['openAPIRegistry']): void {
  const route = (
    method: 'get' | 'post' | 'delete',
    path: string,
    request: object,
    responses: ReturnType<typeof answer>,
  ): void => registry.registerPath({ method, path: `/persona/runs${path}`, request, responses });
  const stream = (description: string) => ({
    ...answer(api.runEvent, description),
    200: { description, content: { 'text/event-stream': { schema: api.runEvent } } },
  });
  const changes = { ...one, headers: token };
  route('get', '', {}, answer(api.runList, 'Runs, the newest first'));
  route(
    'post',
    '',
    { headers: token, body: json(api.runRequest) },
    answer(api.runItem, 'The run, which waits'),
  );
  route('get', '/options', {}, answer(api.runOptions, 'What a request can name'));
  registry.registerPath({
    method: 'get',
    path: '/persona/runs/events',
    responses: stream('Server-sent events `run`, with a run that changed, and `removed`, with its id'),
  });
  route('get', '/{id}', one, answer(api.runDetail, 'One run with its files'));
  route('delete', '/{id}', changes, answer(api.deletedRun, 'Removed with its files'));
  route('post', '/{id}/stop', changes, answer(api.runItem, 'The run, which stops after the step in hand'));
  route('post', '/{id}/resume', changes, answer(api.runItem, 'The run, which waits to go on'));
  route('get', '/{id}/log', { ...one, query: api.logQuery }, answer(api.runLog, 'A part of its log'));
  registry.registerPath({
    method: 'get',
    path: '/persona/runs/{id}/events',
    request: { ...one, headers: after },
    responses: stream('Server-sent events `run`, `log` and `steps`; `Last-Event-ID` goes on after one'),
  });
  registry.registerPath({
    method: 'get',
    path: '/persona/runs/{id}/files/{path}',
    request: { params: params.extend({ path: z.string() }), query: api.fileQuery },
    responses: {
      ...answer(api.runDetail, 'A file of its output'),
      200: {
        description: 'A file of its output: pages to be looked at, in a sandbox, all else to be kept',
        content: {
          'text/html': { schema: z.string() },
          'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) },
        },
      },
    },
  });
}
