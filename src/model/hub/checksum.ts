import { createHash } from 'node:crypto';
import type { Checksum } from '../../util/http/resumed-file.ts';

/** The hash under which the Hub knows a file: SHA-256 for large files, git's for the others. */
export interface ExpectedHash {
  readonly kind: 'sha256' | 'git';
  /** In lower-case hexadecimal. */
  readonly hex: string;
}

/** Starts the hash of a file of `size` bytes. */
export function startChecksum(kind: ExpectedHash['kind'], size: number): Checksum {
  const hash = createHash(kind === 'sha256' ? 'sha256' : 'sha1');
  // What `git hash-object` puts before the content.
  if (kind === 'git') hash.update(`blob ${size}\0`);
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => hash.digest('hex'),
  };
}
