import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect } from 'react';
import type { Capabilities } from '../../src/server/client.ts';
import { needsKey, queries, server, useSecrets } from './connection.ts';
import { ErrorNote } from './parts/notes.tsx';
import { SecretForm } from './parts/secret-form.tsx';
import { Monitor } from './monitor/monitor.tsx';
import { Playground } from './playground/playground.tsx';
import { Link, usePath } from './router.tsx';
import { Runs } from './runs/runs.tsx';
import { ScreenView } from './screen/screen-view.tsx';
import { useTheme } from './theme.ts';
import { Vectors } from './vectors/vectors.tsx';

interface View {
  readonly path: string;
  readonly name: string;
  /** `rest` is what of the path follows the view's own. */
  readonly show: (capabilities: Capabilities, rest: string) => ReactNode;
}

const views: readonly View[] = [
  { path: '/app/playground', name: 'Playground', show: (facts) => <Playground capabilities={facts} /> },
  {
    path: '/app/monitor',
    name: 'Monitor',
    show: (facts, rest) => <Monitor id={rest} capabilities={facts} />,
  },
  { path: '/app/vectors', name: 'Vectors', show: (_, rest) => <Vectors name={rest} /> },
  { path: '/app/runs', name: 'Runs', show: (facts, rest) => <Runs rest={rest} capabilities={facts} /> },
  { path: '/app/screen', name: 'Screen', show: (_, rest) => <ScreenView id={rest} /> },
];

/** The view that a path leads to, and what follows its name; the first for the path of the whole. */
function viewOf(path: string): [View | undefined, string] {
  if (path === '/' || path === '/app' || path === '/app/') return [views[0], ''];
  const view = views.find((one) => path === one.path || path.startsWith(`${one.path}/`));
  return [view, view === undefined ? '' : path.slice(view.path.length + 1)];
}

/** The frame around all views, and the one that the address names. */
export function App() {
  const [view, rest] = viewOf(usePath());
  const { apiKey } = useSecrets();
  const facts = useQuery({ queryKey: ['capabilities', apiKey], queryFn: () => server().capabilities() });
  const name = view?.name ?? 'Not found';
  useEffect(() => {
    document.title = `${name} · persona`;
  }, [name]);
  return (
    <div className="app">
      <Top current={view} facts={facts.data} />
      <main id="main" tabIndex={-1}>
        {facts.data === undefined ? (
          <Waiting error={facts.error} keyed={apiKey !== ''} />
        ) : view === undefined ? (
          <NotFound />
        ) : (
          view.show(facts.data, safeDecode(rest))
        )}
      </main>
    </div>
  );
}

/** A path's part as a name; one that is no encoding of a text stays as it is. */
function safeDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function Top({
  current,
  facts,
}: {
  readonly current: View | undefined;
  readonly facts?: Capabilities | undefined;
}) {
  const [theme, nextTheme] = useTheme();
  return (
    <header className="top">
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <Link className="brand" href="/app/playground">
        <img src="/favicon.svg" alt="" />
        persona
      </Link>
      <nav aria-label="Views">
        {views.map((view) => (
          <Link
            key={view.path}
            href={view.path}
            {...(view === current && { 'aria-current': 'page' as const })}
          >
            {view.name}
          </Link>
        ))}
      </nav>
      {facts && <span className="facts">{facts.version}</span>}
      <button type="button" className="plain" onClick={nextTheme} title="Change between light and dark">
        Theme: {theme}
      </button>
    </header>
  );
}

function Waiting({ error, keyed }: { readonly error: unknown; readonly keyed: boolean }) {
  if (error === null)
    return (
      <div className="page soft" role="status">
        Asking the server…
      </div>
    );
  return (
    <div className="page">
      {needsKey(error) ? (
        <section className="card gate">
          <h1>This server needs a key</h1>
          <SecretForm kind="apiKey" refused={keyed} />
        </section>
      ) : (
        <ErrorNote error={error} onRetry={() => void queries.invalidateQueries()} />
      )}
    </div>
  );
}

function NotFound() {
  return (
    <div className="page">
      <h1>There is no such page</h1>
      <p className="soft">
        The address names none of the views. <Link href="/app/playground">Go to the playground.</Link>
      </p>
    </div>
  );
}
