import { ParseError } from '../../errors.ts';
import { COMMIT } from '../hub-cache.ts';
import type { HubName } from '../hub-cache.ts';
import { jsonFields } from '../json-fields.ts';
import type { JsonFields } from '../json-fields.ts';
import { describeJson, isJsonObject, parseJsonObject, quoteName } from '../json-text.ts';
import type { ExpectedHash } from './checksum.ts';
import { askHub } from './client.ts';
import type { Connection } from './client.ts';
import { withRetries } from '../../util/http/retry.ts';
import { collectBody } from '../../util/http/watched-fetch.ts';
import type { Patience } from '../../util/http/retry.ts';
import { downloadStopped } from '../../util/http/network-failure.ts';

/** A file of a repository as the Hub lists it; only `checkedFile` makes it fit for the disk. */
export interface ListedFile {
  readonly path: string;
  readonly entry: JsonFields;
}

/** A file of a repository, safe to write: its path stays below its folder, its hash is one. */
export interface HubFile {
  /** Parts joined by `/`, none of them empty, `.` or `..`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Its hexadecimal form names the blob in the cache. */
  readonly hash: ExpectedHash;
}

export interface Listing {
  /** The commit that the revision means. */
  readonly commit: string;
  readonly files: readonly ListedFile[];
}

export interface ListingOptions {
  readonly patience: Patience;
  readonly signal: AbortSignal | undefined;
  readonly onNote?: ((line: string) => void) | undefined;
}

/** A listing has some 300 bytes per file, and the fullest repositories of models some ten thousand files. */
const MAX_LISTING_BYTES = 64_000_000;
const MAX_FILES = 200_000;
/** No file of a model comes near; larger numbers would not be exact. */
const MAX_FILE_BYTES = 2 ** 50;
/** Longest path that all usual file systems take below a cache. */
const MAX_PATH_LENGTH = 1024;
const MAX_NAME_BYTES = 255;
const connectionAdvice =
  'check the connection and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to use what the cache has';

/**
 * The files of a model at a revision.
 *
 * @throws UsageError where the Hub does not have it or cannot be reached; ParseError for a listing that is none.
 */
export async function listFiles(
  connection: Connection,
  { name, revision }: HubName,
  { patience, signal, onNote }: ListingOptions,
): Promise<Listing> {
  const path = `api/models/${name}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const purpose = { repo: name, revision, path: null };
  const task = `listing the files of ${name} on ${connection.endpoint}`;
  const bytes = await withRetries(
    async () => {
      const { body } = await askHub(connection, { path, purpose, signal });
      const listing = await collectBody(body, MAX_LISTING_BYTES);
      if (listing === null) throw tooLong(task);
      return listing;
    },
    { patience, task, signal, stopped: downloadStopped, onNote, mustReach: connectionAdvice },
  );
  return parseListing(bytes, `${connection.endpoint}/${path}`, revision);
}

/**
 * The files that a listing names.
 *
 * @throws ParseError where it is malformed or of another commit than the one asked for.
 */
export function parseListing(bytes: Uint8Array, origin: string, revision: string): Listing {
  const fields = jsonFields(parseJsonObject(bytes, origin), origin);
  const commit = fields.optionalString('sha') ?? '';
  if (!COMMIT.test(commit)) throw fields.wrong('sha', 'a commit of 40 hexadecimal digits');
  if (COMMIT.test(revision) && commit !== revision)
    throw fields.wrong('sha', `the commit ${revision} asked for`);
  const siblings = fields.raw('siblings');
  if (!Array.isArray(siblings) || siblings.length > MAX_FILES) {
    throw fields.wrong('siblings', `a list of at most ${MAX_FILES} files`);
  }
  const files = siblings.map((entry, i): ListedFile => {
    if (!isJsonObject(entry)) throw fields.wrong('siblings', 'a list of objects');
    const entryFields = jsonFields(entry, origin, `siblings[${i}].`);
    const path = entryFields.optionalString('rfilename');
    if (path === undefined) throw entryFields.wrong('rfilename', 'a path');
    return { path, entry: entryFields };
  });
  return { commit, files };
}

/**
 * A listed file with its size and hash, once its path is known to be harmless.
 *
 * @throws ParseError for a path that leaves its folder or that not every system can write, and where size or hash is
 *   missing or malformed.
 */
export function checkedFile({ path, entry }: ListedFile): HubFile {
  if (!isHarmlessPath(path)) throw hostilePath(path, entry.file);
  const lfs = entry.optionalObject('lfs');
  const size = (lfs ?? entry).integer('size', 0, MAX_FILE_BYTES);
  const hash = lfs === undefined ? hashField(entry, 'blobId', 'git') : hashField(lfs, 'sha256', 'sha256');
  return { path, size, hash };
}

function hashField(fields: JsonFields, name: string, kind: ExpectedHash['kind']): ExpectedHash {
  const digits = kind === 'sha256' ? 64 : 40;
  const hex = fields.optionalString(name) ?? '';
  // It becomes a file's name.
  if (hex.length !== digits || !/^[0-9a-f]+$/.test(hex))
    throw fields.wrong(name, `${digits} hexadecimal digits`);
  return { kind, hex };
}

/** Whether a path stays below the folder it is joined to, on every system. */
function isHarmlessPath(path: string): boolean {
  if (path.length > MAX_PATH_LENGTH) return false;
  return path.split('/').every((part) => {
    if (part === '' || part === '.' || part === '..') return false;
    // Backslash and colon separate parts or name a drive on Windows; a lone surrogate is no text.
    return !/[\p{Cc}\p{Cs}\\:]/u.test(part) && Buffer.byteLength(part) <= MAX_NAME_BYTES;
  });
}

function hostilePath(path: string, origin: string): ParseError {
  return new ParseError(
    `Expected paths inside the repository in "${origin}", got ${quoteName(path)}, which could be written elsewhere; nothing was downloaded, and this repository should not be trusted.`,
    { details: { file: origin, path: describeJson(path) } },
  );
}

function tooLong(task: string): ParseError {
  return new ParseError(
    `Gave up ${task}: expected at most ${MAX_LISTING_BYTES} bytes, got more; check HF_ENDPOINT.`,
  );
}
