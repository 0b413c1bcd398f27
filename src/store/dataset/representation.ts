import { z } from 'zod';
import type { Answer } from '../../util/http/follow.ts';

/** How a server packs a file for the way: as it is, or in a form that the reader unpacks. */
const encodingSchema = z.enum(['none', 'gzip', 'zstd']);
export type SourceEncoding = z.infer<typeof encodingSchema>;

/** What a server says of the bytes that it sends: two answers that agree in it are of one file. */
export const representationSchema = z.strictObject({
  /** Bytes on their way; null where the server does not say. */
  size: z.int().min(0).nullable(),
  encoding: encodingSchema,
  etag: z.string().max(4096).nullable(),
  last_modified: z.string().max(256).nullable(),
  /** Names these bytes and no others, so that a download can go on in their middle; null where nothing does. */
  validator: z.string().max(4096).nullable(),
});
export type Representation = z.infer<typeof representationSchema>;

/** Seconds after which a second change would have another date; RFC 9110, 8.8.2.2. */
const SETTLED_SECONDS = 60;

/**
 * Reads what an answer says.
 *
 * @param size Bytes of the whole file.
 * @returns null where it is packed in a way that the reader does not know.
 */
export function representationOf({ headers }: Answer, size: number | null): Representation | null {
  const encoding = encodingOf(headers.get('content-encoding'));
  if (encoding === null) return null;
  const [etag, lastModified] = [headers.get('etag'), headers.get('last-modified')];
  const strong = etag !== null && !etag.startsWith('W/') ? etag : null;
  const validator = strong ?? (isSettled(lastModified, headers.get('date')) ? lastModified : null);
  return { size, encoding, etag, last_modified: lastModified, validator };
}

/** Headers that ask for a file only if it is another one than this. */
export function unlessUnchanged({ etag, last_modified: date }: Representation): Record<string, string> {
  if (etag !== null) return { 'if-none-match': etag };
  return date === null ? {} : { 'if-modified-since': date };
}

/** Whether an answer with a part of a file goes on with this one. */
export function goesOn(before: Representation, { headers }: Answer, total: number | null): boolean {
  const etag = headers.get('etag');
  const isSameTag = etag === null || before.etag === null || etag === before.etag;
  return isSameTag && (total === null || before.size === null || total === before.size);
}

function encodingOf(header: string | null): SourceEncoding | null {
  const name = header?.trim().toLowerCase() ?? '';
  if (name === '' || name === 'identity') return 'none';
  if (name === 'gzip' || name === 'x-gzip') return 'gzip';
  return name === 'zstd' ? 'zstd' : null;
}

/** A file that changed within the clock's second may have one date for two contents. */
function isSettled(lastModified: string | null, date: string | null): boolean {
  const [changed, answered] = [Date.parse(lastModified ?? ''), Date.parse(date ?? '')];
  return answered - changed >= SETTLED_SECONDS * 1000;
}
