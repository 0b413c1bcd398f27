import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { type ConversationItem, ServerRefusal } from '../../../src/server/client.ts';
import { queries, server } from '../connection.ts';
import { ActionTrouble, needsToken } from '../parts/action-trouble.tsx';
import { Command } from '../parts/command.tsx';
import { Empty, ErrorNote, Name } from '../parts/notes.tsx';
import { Link } from '../router.tsx';
import { clock, count, number } from '../text.ts';
import { useFragment } from '../use-fragment.ts';
import { AlertList } from './alert-list.tsx';
import { FilterBar } from './filter-bar.tsx';
import { type Filters, conversationQuery, filterForm } from './filters.ts';

/** All conversations that fit the filters, those with the newest turns first, and beside them the alerts. */
export function ConversationList({ models }: { readonly models: readonly string[] }) {
  const [filters, change] = useFragment(filterForm);
  const list = useConversations(filters);
  if (list.error instanceof ServerRefusal && list.error.code === 'no_store') return <NoStore />;
  if (needsToken(list.error))
    return (
      <div className="page">
        <h1>Conversations</h1>
        <ActionTrouble error={list.error} onRetry={retry} />
      </div>
    );
  const conversations = list.data?.pages.flatMap(({ data }) => data);
  return (
    <div className="page monitor">
      <h1>Conversations</h1>
      <FilterBar filters={filters} models={models} onChange={change} />
      <div className="monitor-columns">
        <section aria-label="Conversations">
          {list.error !== null && <ErrorNote error={list.error} onRetry={retry} />}
          {conversations === undefined ? (
            list.error === null && <p role="status">Asking the server…</p>
          ) : conversations.length === 0 ? (
            <NoConversation filtered={filterForm.write(filters) !== ''} />
          ) : (
            <Conversations list={conversations} />
          )}
          {list.hasNextPage && (
            <button type="button" onClick={() => void list.fetchNextPage()} disabled={list.isFetching}>
              Show older ones
            </button>
          )}
        </section>
        <AlertList filters={filters} />
      </div>
    </div>
  );
}

function useConversations(filters: Filters) {
  return useInfiniteQuery({
    queryKey: ['monitor', 'conversations', filters],
    queryFn: ({ pageParam }) =>
      server().conversations({
        ...conversationQuery(filters, Date.now()),
        ...(pageParam !== null && { cursor: pageParam }),
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: keepPreviousData,
  });
}

function retry(): void {
  for (const queryKey of [['monitor'], ['policies']]) void queries.invalidateQueries({ queryKey });
}

function Conversations({ list }: { readonly list: readonly ConversationItem[] }) {
  const { data: policies } = useQuery({ queryKey: ['policies'], queryFn: () => server().policies() });
  return (
    <>
      {policies?.length === 0 && (
        <p className="soft small">
          No policy watches them, so that no alert will come: <code>persona serve --policies FILE</code> sets
          some.
        </p>
      )}
      <ul className="conversations">
        {list.map((one) => (
          <li key={one.id}>
            <Row conversation={one} />
          </li>
        ))}
      </ul>
    </>
  );
}

function Row({ conversation }: { readonly conversation: ConversationItem }) {
  const { id, model, key, updated, turns, alerts, last, peak_z: peaks } = conversation;
  return (
    <article className="card conversation">
      <h2>
        <Link href={`/app/monitor/${encodeURIComponent(id)}`}>
          <Name>{id}</Name>
        </Link>
      </h2>
      {alerts > 0 && <span className="badge failed">{count(alerts, 'alert')}</span>}
      <p className="soft small">
        {count(turns, 'turn')} · <Name>{model}</Name>
        {key !== null && (
          <>
            {' '}
            · <Name>{key}</Name>
          </>
        )}{' '}
        · <time dateTime={updated}>{clock(updated)}</time>
      </p>
      <dl className="readings">
        {Object.entries(last).map(([vector, projection]) => (
          <div key={vector}>
            <dt>
              <Name>{vector}</Name>
            </dt>
            <dd>
              {number(projection, { sign: true })}
              {peaks[vector] !== undefined && (
                <span className="soft"> · highest z {number(peaks[vector], { sign: true })}</span>
              )}
            </dd>
          </div>
        ))}
      </dl>
    </article>
  );
}

function NoConversation({ filtered }: { readonly filtered: boolean }) {
  if (filtered)
    return (
      <Empty title="No conversation fits">
        <p>Take some of the filters away.</p>
      </Empty>
    );
  return (
    <Empty title="No conversation yet">
      <p>
        They appear as the server answers <code>/v1/chat/completions</code>: turns of one conversation find
        each other by their history. Try it in the <Link href="/app/playground">playground</Link>.
      </p>
    </Empty>
  );
}

function NoStore() {
  return (
    <div className="page">
      <h1 className="unseen">Conversations</h1>
      <Empty title="This server keeps no conversations">
        <p>Start it with a file for them, and with policies that say what is watched:</p>
        <Command>
          persona serve --store monitor.sqlite --policies policies.json --baseline baseline.json
        </Command>
      </Empty>
    </div>
  );
}
