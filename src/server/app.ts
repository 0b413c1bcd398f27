import { OpenAPIHono } from '@hono/zod-openapi';
import { Admission } from './admission.ts';
import { readQuery } from './body.ts';
import { answerDashboard, type Dashboard, isDashboardPath } from './dashboard.ts';
import { HttpFailure, toFailure } from './failure.ts';
import { admit, checkPlace, checkToken } from './guard.ts';
import { Handlers } from './handlers.ts';
import { Metrics } from './metrics.ts';
import { addMonitor } from './monitor-app.ts';
import type { ScreenLibrary } from '../store/screens/screen-library.ts';
import type { OpenMonitor } from './open-monitor.ts';
import type { OpenRuns } from './open-runs.ts';
import { type LogEntry, type Notes, type ServerContext, watchRequests } from './request-log.ts';
import { registerRoutes } from './routes.ts';
import { addRuns } from './runs-app.ts';
import { registerRunRoutes } from './runs-routes.ts';
import { addScreens } from './screen-app.ts';
import type { ServerSettings } from './settings.ts';
import { cosinesQuery } from './vectors-api.ts';
import { VectorResources } from './vectors.ts';

export interface ServerApp {
  readonly fetch: (request: Request, env?: object) => Response | Promise<Response>;
  readonly admission: Admission;
}

export type App = OpenAPIHono<{ Variables: Notes }>;

/** The server's routes over loaded models. Nothing here listens; see `startServer`. */
export function createApp(
  settings: ServerSettings,
  log: (entry: LogEntry) => void,
  {
    open,
    runs,
    screens,
  }: {
    readonly open: OpenMonitor | null;
    readonly runs: OpenRuns | null;
    readonly screens: ScreenLibrary | null;
  },
): ServerApp {
  const app: App = new OpenAPIHono();
  const admission = new Admission(settings.limits);
  const metrics = new Metrics(() => admission.replies);
  app.onError((thrown, c) => {
    const error = c.req.raw.signal.aborted ? new HttpFailure(499, 'the client went away') : thrown;
    c.set('error', error);
    return toFailure(error).toResponse();
  });
  app.notFound(() => new HttpFailure(404, 'found no such route; GET /openapi.json lists them').toResponse());
  app.use(watchRequests(metrics, log));
  app.use(async (c, next) => {
    await next();
    c.res.headers.set('x-content-type-options', 'nosniff');
    c.res.headers.set('cross-origin-resource-policy', 'same-origin');
  });
  app.get('/healthz', (c) =>
    c.json({ status: admission.draining ? 'ending' : 'ok' }, admission.draining ? 503 : 200),
  );
  if (settings.dashboard !== null) addDashboard(app, settings.dashboard, settings.hosts);
  app.use(async (c, next) => {
    const who = admit(c.req.raw, settings);
    c.set('who', who);
    admission.checkRate(who ?? addressOf(c));
    await next();
  });
  addProtocol(app, new Handlers(settings, admission, metrics, open?.monitor ?? null));
  addVectors(app, settings);
  addMonitor(app, settings, open);
  addRuns(app, settings, runs);
  addScreens(app, settings, screens);
  open?.monitor.metrics.registerAt(metrics.registry);
  addFacts(app, metrics);
  registerRoutes(app.openAPIRegistry);
  registerRunRoutes(app.openAPIRegistry);
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'persona serve', version: settings.version },
  });
  app.get('/openapi.json', (c) => c.json(document));
  return { fetch: (request, env) => app.fetch(request, env), admission };
}

/** Its files say nothing of this server, so they come without a key; what they then ask for needs one. */
function addDashboard(app: App, dashboard: Dashboard, hosts: readonly string[]): void {
  app.use(async (c, next) => {
    const { method, path } = c.req;
    if ((method !== 'GET' && method !== 'HEAD') || !isDashboardPath(path)) return next();
    checkPlace(c.req.raw, hosts);
    return answerDashboard(dashboard, c.req.raw);
  });
}

function addressOf(c: ServerContext): string {
  const env = c.env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined;
  return env?.incoming?.socket?.remoteAddress ?? 'unknown';
}

function addProtocol(app: App, handlers: Handlers): void {
  app.get('/v1/models', (c) => c.json(handlers.models()));
  app.get('/v1/models/:id{.+}', (c) => c.json(handlers.model(c.req.param('id'))));
  app.post('/v1/chat/completions', (c) => handlers.chat(c));
  app.post('/v1/completions', (c) => handlers.completions(c));
  app.post('/v1/activations', (c) => handlers.activations(c));
  app.get('/persona/capabilities', async (c) => c.json(await handlers.capabilities()));
}

function addVectors(app: App, settings: ServerSettings): void {
  const vectors = new VectorResources(settings.vectors, settings.limits);
  const path = '/persona/vectors/:name';
  app.get('/persona/vectors', async (c) => c.json({ vectors: await vectors.list() }));
  app.get(path, async (c) => c.json(await vectors.get(c.req.param('name'))));
  app.get(`${path}/layers`, async (c) => c.json(await vectors.layers(c.req.param('name'))));
  app.get(`${path}/validation`, async (c) => c.json(await vectors.validation(c.req.param('name'))));
  app.get(`${path}/file`, (c) => {
    // Who may steer by a vector may not carry it off.
    if (settings.keys !== null) checkToken(c.req.raw, settings.token);
    return vectors.download(c.req.param('name'));
  });
  // Not below the vectors: there it would be the name of one.
  app.get('/persona/cosines', async (c) => c.json(await vectors.cosines(readQuery(c, cosinesQuery).layer)));
  app.put(path, async (c) => c.json(await vectors.put(c.req.param('name'), c.req.raw.body, c.req.query())));
  app.delete(path, async (c) => {
    await vectors.delete(c.req.param('name'));
    return c.json({ name: c.req.param('name'), deleted: true });
  });
}

function addFacts(app: App, { registry }: Metrics): void {
  app.get('/metrics', async () => {
    const headers = { 'content-type': registry.contentType };
    return new Response(await registry.metrics(), { headers });
  });
}
