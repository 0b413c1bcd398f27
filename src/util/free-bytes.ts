import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoreError } from '../errors.ts';

/** Free bytes of the disk that a path is on, or will be on once it is made; null where the system does not say. */
export async function freeBytes(path: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    return dirname(path) === path ? null : freeBytes(dirname(path));
  }
}

/** Left free on the disk, in bytes: a full disk stops everything else on the machine. */
const DISK_RESERVE = 64_000_000;

/**
 * Checks that a download fits on the disk, before it begins.
 *
 * @param needed Bytes.
 * @param options.advice What else than to free some a user can do.
 * @param options.freeBytes Default: the system's answer.
 * @throws StoreError where it does not.
 */
export async function requireRoom(
  folder: string,
  needed: number,
  options: {
    readonly advice: string;
    readonly freeBytes?: ((folder: string) => Promise<number | null>) | undefined;
  },
): Promise<void> {
  if (needed <= 0) return;
  const free = await (options.freeBytes ?? freeBytes)(folder);
  if (free === null || free >= needed + DISK_RESERVE) return;
  const gigabytes = (count: number): string => `${(count / 1e9).toFixed(2)} GB`;
  throw new StoreError(
    `Expected ${gigabytes(needed + DISK_RESERVE)} free for the download in "${folder}", got ${gigabytes(free)}; free some, or ${options.advice}.`,
    { details: { folder, needed, free } },
  );
}
