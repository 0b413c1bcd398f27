import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { answer } from './route-parts.ts';
import * as api from './screen-api.ts';

/** Describes the routes of screenings. */
export function registerScreenRoutes(registry: OpenAPIHono['openAPIRegistry']): void {
  const id = z.object({ id: z.string() });
  const get = (path: string, request: object, responses: ReturnType<typeof answer>): void =>
    registry.registerPath({ method: 'get', path: `/persona/screens${path}`, request, responses });
  get('', {}, answer(api.screenList, 'Finished screenings'));
  get('/{id}', { params: id }, answer(api.screenDetail, 'One screening, trait by trait'));
  get(
    '/{id}/histogram',
    { params: id, query: api.histogramQuery },
    answer(api.screenHistogram, 'Counts of all rows by one trait’s difference'),
  );
  get(
    '/{id}/rows',
    { params: id, query: api.screenRowsQuery },
    answer(api.screenRows, 'A page of rows, ordered by one trait’s difference'),
  );
  get(
    '/{id}/rows/{row}',
    { params: id.extend({ row: z.string() }) },
    answer(api.screenRowText, 'One row with its texts'),
  );
  registry.registerPath({
    method: 'get',
    path: '/persona/screens/{id}/export',
    request: { params: id, query: api.screenExportQuery },
    responses: {
      ...answer(api.screenRowText, ''),
      200: {
        description: 'JSON lines of the flagged rows or of the others, in the order of the data set',
        content: { 'application/x-ndjson': { schema: z.string() } },
      },
    },
  });
}
