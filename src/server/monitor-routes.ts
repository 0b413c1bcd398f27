import { type OpenAPIHono, z } from '@hono/zod-openapi';
import * as api from './monitor-api.ts';
import { answer, json, named, token } from './route-parts.ts';

/** Describes the routes of the monitoring store. */
export function registerMonitorRoutes(registry: OpenAPIHono['openAPIRegistry']): void {
  const get = (path: string, request: object, responses: ReturnType<typeof answer>): void =>
    registry.registerPath({ method: 'get', path, request, responses });
  get(
    '/persona/conversations',
    { query: api.conversationQuery },
    answer(api.conversationPage, 'Conversations'),
  );
  get(
    '/persona/conversations/{id}',
    { params: z.object({ id: z.string() }), query: api.detailQuery },
    answer(api.conversationDetail, 'One conversation, turn by turn'),
  );
  get('/persona/alerts', { query: api.alertQuery }, answer(api.alertPage, 'Alerts'));
  get('/persona/policies', {}, answer(api.policyList, 'Policies'));
  registry.registerPath({
    method: 'put',
    path: '/persona/policies/{name}',
    request: { ...named, headers: token, body: json(api.policyRequest) },
    responses: answer(api.policyItem, 'The policy as it holds from now on'),
  });
  registry.registerPath({
    method: 'delete',
    path: '/persona/policies/{name}',
    request: { ...named, headers: token },
    responses: answer(api.deletedPolicy, 'Deleted'),
  });
  get(
    '/persona/monitor/summary',
    { query: api.summaryQuery },
    answer(api.monitorSummary, 'Counts by model and vector over time'),
  );
  registry.registerPath({
    method: 'get',
    path: '/persona/events',
    request: { headers: z.object({ 'last-event-id': z.string().optional() }) },
    responses: {
      ...answer(api.monitorEvent, 'Events `turn` and `alert`, with the item as data'),
      200: {
        description: 'Server-sent events `turn` and `alert`, with the item as data',
        content: { 'text/event-stream': { schema: api.monitorEvent } },
      },
    },
  });
}
