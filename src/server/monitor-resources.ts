import type { StoredPolicy } from '../store/monitor/store.ts';
import { parseCursor } from '../store/monitor/page.ts';
import type {
  AlertPage,
  AlertQuery,
  ConversationDetail,
  ConversationPage,
  ConversationQuery,
  DetailQuery,
  MonitorSummary,
  PolicyItem,
  PolicyRequest,
  SummaryQuery,
} from './monitor-api.ts';
import { HttpFailure } from './failure.ts';
import type { Monitor } from './monitor.ts';
import { type ReadyPolicy, readyPolicy } from './monitor-policies.ts';
import type { StoreThread } from './monitor-thread.ts';
import type { StoreWriter } from './monitor-worker.ts';

/** Policies at once. */
const mostPolicies = 100;
const pageLength = 50;
/** Milliseconds that a summary goes back where nothing is said. */
const summarySpan = 24 * 3_600_000;

/** The policies as resources. */
export class PolicyResources {
  private readonly writer: StoreThread<StoreWriter>;
  private readonly scene: Parameters<typeof readyPolicy>[1];
  private readonly policies: Map<string, ReadyPolicy>;
  /** Names of those that were given at the start. */
  private readonly given: ReadonlySet<string>;

  constructor(parts: {
    readonly writer: StoreThread<StoreWriter>;
    readonly scene: Parameters<typeof readyPolicy>[1];
    readonly policies: Map<string, ReadyPolicy>;
    readonly given: ReadonlySet<string>;
  }) {
    this.writer = parts.writer;
    this.scene = parts.scene;
    this.policies = parts.policies;
    this.given = parts.given;
  }

  list(): PolicyItem[] {
    return [...this.policies.values()].map(({ item }) => item).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async put(name: string, body: PolicyRequest): Promise<PolicyItem> {
    if (body.name !== undefined && body.name !== name)
      throw new HttpFailure(400, `expected the name ${JSON.stringify(name)}, as in the path`, {
        param: 'name',
      });
    this.checkOwn(name);
    if (!this.policies.has(name) && this.policies.size >= mostPolicies)
      throw new HttpFailure(409, `expected at most ${mostPolicies} policies; delete some`);
    const item = { ...body, name };
    const ready = await readyPolicy(item, this.scene);
    const stored: StoredPolicy = { name, policy: JSON.stringify(item), source: 'api' };
    await this.writer.call('putPolicy', stored);
    this.policies.set(name, ready);
    return item;
  }

  async delete(name: string): Promise<void> {
    this.checkOwn(name);
    if (!this.policies.has(name))
      throw new HttpFailure(404, `found no policy ${JSON.stringify(name.slice(0, 100))}`, {
        code: 'unknown_policy',
      });
    await this.writer.call('deletePolicy', name);
    this.policies.delete(name);
  }

  private checkOwn(name: string): void {
    if (this.given.has(name))
      throw new HttpFailure(409, `"${name}" comes from the file of --policies; change it there`, {
        code: 'given_policy',
      });
  }
}

export async function listConversations(
  { reader }: Monitor,
  { limit = pageLength, cursor, since, alerted, ...filter }: ConversationQuery,
): Promise<ConversationPage> {
  const page = await reader.call('conversations', {
    ...filter,
    limit,
    cursor: parseCursor(cursor),
    since: toMilliseconds(since),
    alerted: alerted === undefined ? undefined : alerted === 'true',
  });
  return { ...page, data: [...page.data] };
}

export async function getConversation(
  { reader }: Monitor,
  id: string,
  { limit = pageLength, cursor }: DetailQuery,
): Promise<ConversationDetail> {
  const found = await reader.call('conversation', id, { limit, cursor: parseCursor(cursor) });
  if (found !== null) return found;
  throw new HttpFailure(404, `found no conversation ${JSON.stringify(id.slice(0, 100))}`, {
    code: 'unknown_conversation',
  });
}

export async function listAlerts(
  { reader }: Monitor,
  { limit = pageLength, cursor, since, ...filter }: AlertQuery,
): Promise<AlertPage> {
  const query = { ...filter, limit, cursor: parseCursor(cursor), since: toMilliseconds(since) };
  const page = await reader.call('alerts', query);
  return { ...page, data: [...page.data] };
}

export function summarise({ reader }: Monitor, { since }: SummaryQuery): Promise<MonitorSummary> {
  const now = Date.now();
  return reader.call('summary', toMilliseconds(since) ?? now - summarySpan, now);
}

function toMilliseconds(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time);
}
