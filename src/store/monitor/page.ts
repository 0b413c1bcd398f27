import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { UsageError } from '../../errors.ts';

/** Where in a list a page ends: the sort keys of its last item. No item is skipped or shown twice while others are added. */
export type Cursor = readonly [number, number];

export interface PageQuery {
  readonly limit: number;
  readonly cursor: Cursor | null;
}

export interface Page<Item> {
  readonly data: readonly Item[];
  readonly next_cursor: string | null;
}

const cursorSchema = z.tuple([z.number(), z.number()]);

/** @throws UsageError for a text that no page has given. */
export function parseCursor(text: string | undefined): Cursor | null {
  if (text === undefined) return null;
  try {
    return cursorSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString()));
  } catch (cause) {
    throw new UsageError('expected as "cursor" the "next_cursor" of an earlier page', { cause });
  }
}

/** @param rows one more than a page has, where there are more */
export function nextCursor(
  rows: readonly unknown[],
  limit: number,
  last: readonly [number, number] | undefined,
): string | null {
  if (rows.length <= limit || last === undefined) return null;
  return Buffer.from(JSON.stringify(last)).toString('base64url');
}

/** What comes after the cursor in falling order of two columns. */
export function before([first, second]: readonly [string, string], [a, b]: Cursor): RawBuilder<boolean> {
  return sql<boolean>`(${sql.ref(first)}, ${sql.ref(second)}) < (${a}, ${b})`;
}

export function toTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
