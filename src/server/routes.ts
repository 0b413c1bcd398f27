import { type OpenAPIHono, z } from '@hono/zod-openapi';
import * as api from './api.ts';
import { registerMonitorRoutes } from './monitor-routes.ts';
import { registerScreenRoutes } from './screen-routes.ts';
import { answer, json, named, token } from './route-parts.ts';
import { cosinesQuery, vectorCosines, vectorLayers, vectorValidation } from './vectors-api.ts';

/** Of a stream the schema is that of one event's data. */
const streamed = (schema: z.ZodType, chunk: z.ZodType, description: string) => ({
  ...answer(schema, description),
  200: {
    description,
    content: { 'application/json': { schema }, 'text/event-stream': { schema: chunk } },
  },
});

/** Describes every route, from the schemas that requests are checked by. */
export function registerRoutes(registry: OpenAPIHono['openAPIRegistry']): void {
  registry.registerPath({ method: 'get', path: '/v1/models', responses: answer(api.modelList, 'Models') });
  registry.registerPath({
    method: 'post',
    path: '/v1/chat/completions',
    request: { body: json(api.chatRequest) },
    responses: streamed(api.chatCompletion, api.chatChunk, 'The reply, or chunks of it'),
  });
  registry.registerPath({
    method: 'post',
    path: '/v1/completions',
    request: { body: json(api.completionRequest) },
    responses: streamed(api.completion, api.completionChunk, 'The continuation, or chunks of it'),
  });
  registry.registerPath({
    method: 'post',
    path: '/v1/activations',
    request: { body: json(api.activationsRequest) },
    responses: answer(api.activationsResult, 'Pooled residual streams'),
  });
  registry.registerPath({
    method: 'get',
    path: '/persona/capabilities',
    responses: answer(api.capabilities, 'What this server can'),
  });
  registerVectorRoutes(registry);
  registerVectorChanges(registry);
  registerMonitorRoutes(registry);
  registerScreenRoutes(registry);
}

function registerVectorRoutes(registry: OpenAPIHono['openAPIRegistry']): void {
  registry.registerPath({
    method: 'get',
    path: '/persona/vectors',
    responses: answer(api.vectorList, 'Vectors'),
  });
  registry.registerPath({
    method: 'get',
    path: '/persona/vectors/{name}',
    request: named,
    responses: answer(api.vectorFacts, 'One vector'),
  });
  registry.registerPath({
    method: 'get',
    path: '/persona/vectors/{name}/layers',
    request: named,
    responses: answer(vectorLayers, 'One vector layer by layer, and where it came from'),
  });
  registry.registerPath({
    method: 'get',
    path: '/persona/vectors/{name}/validation',
    request: named,
    responses: answer(vectorValidation, 'What one vector was measured to do, by layer and strength'),
  });
  registry.registerPath({
    method: 'get',
    path: '/persona/vectors/{name}/file',
    request: named,
    responses: {
      ...answer(api.vectorFacts, 'Its vector file'),
      200: {
        description: 'Its vector file',
        content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
      },
    },
  });
  registry.registerPath({
    method: 'get',
    path: '/persona/cosines',
    request: { query: cosinesQuery },
    responses: answer(vectorCosines, 'Cosines of the vectors with each other at one layer'),
  });
}

function registerVectorChanges(registry: OpenAPIHono['openAPIRegistry']): void {
  registry.registerPath({
    method: 'put',
    path: '/persona/vectors/{name}',
    request: {
      ...named,
      headers: token,
      query: z.object({
        layout: z.string().optional(),
        pooling: z.string().optional(),
        trait: z.string().optional(),
        model: z.string().optional(),
      }),
      body: { content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } } },
    },
    responses: answer(api.vectorFacts, 'The vector as it was taken in'),
  });
  registry.registerPath({
    method: 'delete',
    path: '/persona/vectors/{name}',
    request: { ...named, headers: token },
    responses: answer(api.deletedVector, 'Deleted'),
  });
}
