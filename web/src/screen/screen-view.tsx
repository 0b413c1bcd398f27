import { useQuery } from '@tanstack/react-query';
import { ServerRefusal } from '../../../src/server/client.ts';
import { server, useSecrets } from '../connection.ts';
import { Command } from '../parts/command.tsx';
import { Empty, ErrorNote } from '../parts/notes.tsx';
import { SecretForm } from '../parts/secret-form.tsx';
import { Link } from '../router.tsx';
import { ScreenList } from './screen-list.tsx';
import { ScreenPage } from './screen-page.tsx';

/** Screened data sets: all of them, or the one that the address names. */
export function ScreenView({ id }: { readonly id: string }) {
  return id === '' ? <AllScreens /> : <OneScreen id={id} />;
}

function AllScreens() {
  const { token } = useSecrets();
  const found = useQuery({ queryKey: ['screens', token], queryFn: () => server().screens() });
  return (
    <div className="page">
      <header className="page-head">
        <h1>Screened data</h1>
        {found.data !== undefined && (
          <Link className="button" href="/app/runs/new/screen">
            Screen a file
          </Link>
        )}
      </header>
      {found.data === undefined ? (
        <Pending error={found.error} onRetry={() => void found.refetch()} />
      ) : found.data.length === 0 ? (
        <NoScreens served />
      ) : (
        <ScreenList screens={found.data} />
      )}
    </div>
  );
}

function OneScreen({ id }: { readonly id: string }) {
  const { token } = useSecrets();
  const found = useQuery({ queryKey: ['screen', id, token], queryFn: () => server().screen(id) });
  if (found.data !== undefined && found.data.traits.length > 0)
    return <ScreenPage key={id} detail={found.data} />;
  return (
    <div className="page">
      <header className="page-head">
        <h1>Screened data</h1>
        <Link href="/app/screen">All screenings</Link>
      </header>
      <Pending error={found.error} onRetry={() => void found.refetch()} />
    </div>
  );
}

function Pending({ error, onRetry }: { readonly error: unknown; readonly onRetry: () => void }) {
  const { token } = useSecrets();
  const code = error instanceof ServerRefusal ? error.code : null;
  if (error === null)
    return (
      <p className="soft" role="status">
        Asking the server…
      </p>
    );
  if (code === 'no_screens') return <NoScreens served={false} />;
  if (code === 'invalid_token')
    return (
      <section className="card gate">
        <h2>Screened data needs the token</h2>
        <SecretForm kind="token" refused={token !== ''} />
      </section>
    );
  return <ErrorNote error={error} onRetry={onRetry} />;
}

function NoScreens({ served }: { readonly served: boolean }) {
  return (
    <Empty title={served ? 'Nothing has been screened yet' : 'This server shows no screenings'}>
      <p>
        A screening scores every reply of a data set along trait vectors: how much more of the trait is in it
        than in what the model would say itself.{' '}
        {served ? (
          <>
            <Link href="/app/runs/new/screen">Screen a file</Link> of the server’s, or one of your own into
            the folder that it shows:
          </>
        ) : (
          'Start the server with folders of runs and of data sets, and files can be screened from here; or with the folder of what was screened by the command:'
        )}
      </p>
      <Command>
        {served
          ? 'persona screen rows.jsonl --vector evil --out screens/rows'
          : 'persona serve --runs runs/served --data FOLDER\n\npersona screen rows.jsonl --vector evil --out screens/rows\npersona serve --screens screens'}
      </Command>
    </Empty>
  );
}
