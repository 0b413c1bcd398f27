import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { AlertItem } from '../../../src/server/client.ts';
import { server } from '../connection.ts';
import { Name } from '../parts/notes.tsx';
import { Link } from '../router.tsx';
import { clock, number } from '../text.ts';
import { type Filters, alertQuery } from './filters.ts';

/** The newest alerts that fit the filters. */
export function AlertList({ filters }: { readonly filters: Filters }) {
  const alerts = useQuery({
    queryKey: ['monitor', 'alerts', filters],
    queryFn: () => server().alerts({ ...alertQuery(filters, Date.now()), limit: 30 }),
    placeholderData: keepPreviousData,
  });
  const list = alerts.data?.data ?? [];
  return (
    <aside aria-label="Alerts">
      <h2>Alerts</h2>
      {alerts.data !== undefined && list.length === 0 && <p className="soft">None.</p>}
      <ul className="alerts">
        {list.map((alert) => (
          <li key={alert.id}>
            <Link href={`/app/monitor/${encodeURIComponent(alert.conversation)}`}>
              <Name>{alert.conversation}</Name>, turn {alert.turn}
            </Link>
            <AlertReason alert={alert} />
            <p className="soft small">
              <time dateTime={alert.time}>{clock(alert.time)}</time>
            </p>
          </li>
        ))}
      </ul>
    </aside>
  );
}

const measures = { threshold: 'z or percentile', cusum: 'CUSUM of z' } as const;
const deeds = { log: 'logged', webhook: 'sent to a webhook', cap: 'capped', refuse: 'refused' } as const;

/** Which policy spoke, of what, and what was done. */
export function AlertReason({ alert }: { readonly alert: AlertItem }) {
  const { vector, rule, value, limit, policy, action, delivered } = alert;
  return (
    <p className="small">
      <Name>{vector}</Name>: {measures[rule]} {number(value)}, limit {number(limit)} (policy{' '}
      <Name>{policy}</Name>, {deeds[action]}
      {delivered === false && ', not delivered yet'})
    </p>
  );
}
