import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import type { ScreenRows } from '../../../src/server/client.ts';
import { server, useSecrets } from '../connection.ts';
import type { ScreenSettings } from './settings.ts';

export type Row = ScreenRows['data'][number];
export type Choice = Pick<ScreenSettings, 'trait' | 'threshold' | 'show' | 'order'>;

/** Rows that are asked for at once. */
const pageLength = 100;

/** A value as it was when it last stayed the same for so many milliseconds. */
export function useSettled<T>(value: T, milliseconds: number): T {
  const [settled, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}

/** How many rows there are, are flagged, and are shown; those before while the server is asked. */
export function useTotals(id: string, choice: Choice) {
  const { token } = useSecrets();
  return useQuery({
    queryKey: ['screen-totals', id, choice, token],
    queryFn: ({ signal }) => server().screenRows(id, { ...choice, limit: 1 }, signal),
    placeholderData: keepPreviousData,
    gcTime: 30_000,
  });
}

/**
 * The rows of a list from one place to before another, as far as they have come. What is passed by quickly is not asked for.
 *
 * @returns the row at a place, and the first error.
 */
export function useRowPages(
  id: string,
  choice: Choice,
  [first, last]: readonly [number, number],
): {
  readonly rowAt: (index: number) => Row | undefined;
  readonly error: Error | null;
  readonly retry: () => void;
} {
  const { token } = useSecrets();
  const { threshold, ...rest } = choice;
  // All rows are the same ones, wherever the threshold lies.
  const asked = choice.show === 'all' ? rest : { ...rest, threshold };
  const from = Math.floor(first / pageLength);
  const to = Math.max(from, Math.floor((last - 1) / pageLength));
  const settled = useSettled(`${from}-${to}`, 60);
  const pages = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const results = useQueries({
    queries: pages.map((page) => ({
      queryKey: ['screen-rows', id, asked, page, token],
      queryFn: ({ signal }: { readonly signal: AbortSignal }) =>
        server().screenRows(id, { ...asked, offset: page * pageLength, limit: pageLength }, signal),
      enabled: settled === `${from}-${to}` && last > first,
      staleTime: Infinity,
      gcTime: 60_000,
    })),
  });
  return {
    rowAt: (index) => {
      const page = Math.floor(index / pageLength);
      return results[page - from]?.data?.data[index - page * pageLength];
    },
    error: results.find((result) => result.error !== null)?.error ?? null,
    retry: () => {
      for (const result of results) if (result.error !== null) void result.refetch();
    },
  };
}
