import type { Capabilities, MonitorNews } from '../../../src/server/client.ts';
import { queries, server } from '../connection.ts';
import { useNews } from '../use-news.ts';
import { ConversationList } from './conversation-list.tsx';
import { ConversationView } from './conversation-view.tsx';

/** Milliseconds between two looks at the server, however much it tells. */
const pause = 1000;
let waiting: ReturnType<typeof setTimeout> | null = null;

/** Conversations that the server keeps: all of them, or one. */
export function Monitor({ id, capabilities }: { readonly id: string; readonly capabilities: Capabilities }) {
  useNews<MonitorNews>('monitor', (signal) => server().events(undefined, signal), lookAgain);
  if (id !== '') return <ConversationView key={id} id={id} />;
  return <ConversationList models={capabilities.models.map((model) => model.id)} />;
}

/** Asks for what is shown again; a busy server has many turns a second. */
function lookAgain(): void {
  waiting ??= setTimeout(() => {
    waiting = null;
    void queries.invalidateQueries({ queryKey: ['monitor'] });
  }, pause);
}
