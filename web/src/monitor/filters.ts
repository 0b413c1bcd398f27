import type { AlertQuery, ConversationQuery } from '../../../src/server/client.ts';

/** How far back, in hours; 0 for all. */
export const spans = [0, 1, 24, 168] as const;

/** Which conversations are shown, as it is kept in the page's address. */
export interface Filters {
  readonly model: string;
  readonly vector: string;
  readonly hours: number;
  readonly alerted: boolean;
  /** Part of an id, or of a key's name. */
  readonly text: string;
}

/** The filters as the part of an address behind the #. */
export const filterForm = {
  write: ({ model, vector, hours, alerted, text }: Filters): string => {
    const query = new URLSearchParams();
    if (model !== '') query.set('model', model);
    if (vector !== '') query.set('vector', vector);
    if (hours !== 0) query.set('hours', String(hours));
    if (alerted) query.set('alerted', '1');
    if (text !== '') query.set('text', text);
    return query.toString();
  },
  read: (fragment: string): Filters => {
    const query = new URLSearchParams(fragment.replace(/^#/, ''));
    return {
      model: query.get('model') ?? '',
      vector: query.get('vector') ?? '',
      hours: spans.find((span) => String(span) === query.get('hours')) ?? 0,
      alerted: query.get('alerted') === '1',
      text: (query.get('text') ?? '').slice(0, 200),
    };
  },
};

/** What the server is asked for; `now` in milliseconds. */
export function conversationQuery(filters: Filters, now: number): ConversationQuery {
  const { alerted, text } = filters;
  return {
    ...alertQuery(filters, now),
    ...(alerted && { alerted: 'true' as const }),
    ...(text !== '' && { q: text }),
  };
}

/** The same of alerts, which have no text. */
export function alertQuery({ model, vector, hours }: Filters, now: number): AlertQuery {
  return {
    ...(model !== '' && { model }),
    ...(vector !== '' && { vector }),
    ...(hours !== 0 && { since: new Date(now - hours * 3_600_000).toISOString() }),
  };
}
