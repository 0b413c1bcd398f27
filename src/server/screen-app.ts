import type { ScreenLibrary } from '../store/screens/screen-library.ts';
import type { App } from './app.ts';
import { readQuery } from './body.ts';
import { HttpFailure } from './failure.ts';
import { checkToken } from './guard.ts';
import type { ServerContext } from './request-log.ts';
import * as api from './screen-api.ts';
import { ScreenResources } from './screen-resources.ts';
import type { ServerSettings } from './settings.ts';

const list = '/persona/screens';
const one = '/persona/screens/:id';

/** The routes of screenings; where no folder of them is served they say so. */
export function addScreens(
  app: App,
  { keys, token }: Pick<ServerSettings, 'keys' | 'token'>,
  library: ScreenLibrary | null,
): void {
  for (const path of [list, `${one}/*`]) {
    app.use(path, async (c, next) => {
      // Who may ask for replies may not read the operator's data.
      if (keys !== null) checkToken(c.req.raw, token);
      await next();
    });
    if (library === null) app.all(path, refuse);
  }
  if (library === null) return;
  const screens = new ScreenResources(library);
  app.get(list, async (c) => c.json(await screens.list()));
  app.get(one, async (c) => c.json(await screens.get(c.req.param('id'))));
  app.get(`${one}/histogram`, async (c) =>
    c.json(await screens.histogram(c.req.param('id'), readQuery(c, api.histogramQuery))),
  );
  app.get(`${one}/rows`, async (c) =>
    c.json(await screens.rows(c.req.param('id'), readQuery(c, api.screenRowsQuery))),
  );
  app.get(`${one}/rows/:row`, async (c) => c.json(await screens.row(c.req.param('id'), c.req.param('row'))));
  app.get(`${one}/export`, async (c) => {
    const { name, pieces } = await screens.export(c.req.param('id'), readQuery(c, api.screenExportQuery));
    return new Response(streamOf(pieces, c), {
      headers: {
        'content-type': 'application/x-ndjson; charset=utf-8',
        'content-disposition': `attachment; filename="${name}"`,
      },
    });
  });
}

/** Pieces as they are asked for, so that a slow client holds up nothing but its own download. */
function streamOf(pieces: AsyncGenerator<Uint8Array>, c: ServerContext): ReadableStream<Uint8Array> {
  let ended = (): void => undefined;
  c.set('ended', new Promise((resolve) => (ended = resolve)));
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (done !== true) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          c.set('error', error);
          controller.error(error);
        }
        ended();
      },
      async cancel() {
        await pieces.return(undefined);
        ended();
      },
    },
    { highWaterMark: 1 },
  );
}

function refuse(): never {
  throw new HttpFailure(404, 'this server shows no screenings; start it with --screens DIR or --runs DIR', {
    code: 'no_screens',
  });
}
