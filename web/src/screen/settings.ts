import type { ScreenDetail } from '../../../src/server/client.ts';

export const sides = ['all', 'flagged', 'kept'] as const;
export type Side = (typeof sides)[number];

/** What of a screening is shown, as it is kept in the page's address. */
export interface ScreenSettings {
  readonly trait: string;
  readonly threshold: number;
  readonly show: Side;
  readonly order: 'high' | 'low';
  /** The row whose texts are shown. */
  readonly row: number | null;
  /** Whether the bars' heights are logarithms. */
  readonly log: boolean;
}

type Trait = ScreenDetail['traits'][number];

export function traitOf({ traits }: ScreenDetail, name: string): Trait {
  return traits.find((trait) => trait.name === name) ?? traits[0]!;
}

/** The part of an address behind the #; what the screening itself says is left out. */
export function toFragment(settings: ScreenSettings, detail: ScreenDetail): string {
  const query = new URLSearchParams();
  if (settings.trait !== detail.traits[0]!.name) query.set('trait', settings.trait);
  if (settings.threshold !== traitOf(detail, settings.trait).threshold)
    query.set('threshold', String(settings.threshold));
  if (settings.show !== 'all') query.set('show', settings.show);
  if (settings.order !== 'high') query.set('order', settings.order);
  if (settings.row !== null) query.set('row', String(settings.row));
  if (settings.log) query.set('log', '1');
  return query.toString();
}

/** The inverse of `toFragment`; what cannot be is as the screening says. */
export function fromFragment(fragment: string, detail: ScreenDetail): ScreenSettings {
  const query = new URLSearchParams(fragment.replace(/^#/, ''));
  const trait = traitOf(detail, query.get('trait') ?? '');
  const given = query.get('threshold') ?? '';
  const threshold = given !== '' && Number.isFinite(Number(given)) ? Number(given) : trait.threshold;
  const row = /^\d{1,9}$/.exec(query.get('row') ?? '')?.[0];
  return {
    trait: trait.name,
    threshold,
    show: sides.find((side) => side === query.get('show')) ?? 'all',
    order: query.get('order') === 'low' ? 'low' : 'high',
    row: row === undefined ? null : Number(row),
    log: query.get('log') === '1',
  };
}
