import type { App } from './app.ts';
import { readBody, readQuery } from './body.ts';
import { HttpFailure } from './failure.ts';
import { checkToken } from './guard.ts';
import * as api from './monitor-api.ts';
import { getConversation, listAlerts, listConversations, summarise } from './monitor-resources.ts';
import type { OpenMonitor } from './open-monitor.ts';
import type { ServerSettings } from './settings.ts';

const policyPath = '/persona/policies/:name';
const paths: readonly string[] = [
  '/persona/conversations',
  '/persona/conversations/:id{.+}',
  '/persona/alerts',
  '/persona/policies',
  policyPath,
  '/persona/monitor/summary',
  '/persona/events',
];
/** The routes of the store; without one they say so. */
export function addMonitor(
  app: App,
  { keys, token, limits, logText }: Pick<ServerSettings, 'keys' | 'token' | 'limits' | 'logText'>,
  open: OpenMonitor | null,
): void {
  for (const path of paths) {
    app.use(path, async (c, next) => {
      // Who may ask for replies may not read what others were told.
      if (keys !== null) checkToken(c.req.raw, token);
      await next();
    });
    if (open === null) app.all(path, refuse);
  }
  if (open === null) return;
  const { monitor, policies } = open;
  app.get('/persona/conversations', async (c) =>
    c.json(await listConversations(monitor, readQuery(c, api.conversationQuery))),
  );
  app.get('/persona/conversations/:id{.+}', async (c) =>
    c.json(await getConversation(monitor, c.req.param('id'), readQuery(c, api.detailQuery))),
  );
  app.get('/persona/alerts', async (c) => c.json(await listAlerts(monitor, readQuery(c, api.alertQuery))));
  app.get('/persona/monitor/summary', async (c) =>
    c.json(await summarise(monitor, readQuery(c, api.summaryQuery))),
  );
  app.get('/persona/events', (c) => monitor.events.listen(c.req.header('last-event-id') ?? null));
  app.get('/persona/policies', (c) => c.json({ data: policies.list(), next_cursor: null }));
  app.put(policyPath, async (c) => {
    const body = await readBody(c, api.policyRequest, { limits, logText });
    return c.json(await policies.put(checkedName(c.req.param('name')), body));
  });
  app.delete(policyPath, async (c) => {
    const name = c.req.param('name');
    await policies.delete(name);
    return c.json({ name, deleted: true });
  });
}

function refuse(): never {
  throw new HttpFailure(404, 'this server keeps no conversations; start it with --store', {
    code: 'no_store',
  });
}

function checkedName(name: string): string {
  if (api.policyName.safeParse(name).success) return name;
  throw new HttpFailure(
    400,
    'expected a name of at most 64 letters, digits, "-" and "_", beginning with a letter or digit',
    { param: 'name' },
  );
}
