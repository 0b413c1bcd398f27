import { UsageError } from '../../errors.ts';
import { checkedGet } from '../../util/http/checked-get.ts';
import { type Answer, follow } from '../../util/http/follow.ts';
import { hostKeyVariable } from '../../util/http/host-key.ts';
import { downloadStopped, Interrupted, passingFailure } from '../../util/http/network-failure.ts';
import type { ByteSource } from '../../util/http/resumed-file.ts';
import { endingWatch, Watchdog } from '../../util/http/watched-fetch.ts';
import {
  goesOn,
  type Representation,
  type SourceEncoding,
  representationOf,
  unlessUnchanged,
} from './representation.ts';
import type { SourceHosts } from './source-hosts.ts';
import type { SourceUrl } from './source-url.ts';

export interface SourceDownloadOptions {
  readonly hosts: SourceHosts;
  /** Most bytes that may come. */
  readonly maxBytes: number;
  /** Milliseconds without a byte after which the connection counts as dead. */
  readonly stallMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onNote: ((line: string) => void) | undefined;
  /** What can be read of this file, by its name. */
  readonly encodings: readonly SourceEncoding[];
  /** Called before the first byte of a file comes: what is to be known when the download goes on in another process. */
  readonly onBegin: (representation: Representation) => Promise<void>;
}

/** Thrown where the server says that the file which is there already is still the right one. */
export class SourceUnchanged extends Error {}

/** No server was met at all. */
export class SourceUnreachable extends UsageError {}

/** More bytes than may come; what has come of them is of no use. */
export class SourceTooLarge extends UsageError {}

/** The bytes of a file on a web server. */
export class SourceDownload implements ByteSource {
  readonly task: string;
  readonly #source: SourceUrl;
  readonly #options: SourceDownloadOptions;
  readonly #kept: Representation | null;
  #representation: Representation | null;
  /** Until the server has been met once, being out of reach rather means a wrong address. */
  #met = false;

  /**
   * @param kept What is there whole.
   * @param begun What an earlier process has begun to download.
   */
  constructor(
    source: SourceUrl,
    options: SourceDownloadOptions,
    { kept, begun }: { readonly kept: Representation | null; readonly begun: Representation | null },
  ) {
    this.task = `downloading ${source.name}`;
    this.#source = source;
    this.#options = options;
    this.#kept = kept;
    this.#representation = begun;
  }

  /** What the bytes are of; null before the first answer. */
  get representation(): Representation | null {
    return this.#representation;
  }

  get size(): number | null {
    return this.#representation?.size ?? null;
  }

  async ask(from: number): Promise<Answer> {
    const answer = await this.#get(this.#conditions(from));
    if (answer.status === 200 || (answer.status === 206 && from > 0)) return answer;
    answer.discard();
    if (answer.status === 304) throw new SourceUnchanged();
    throw passingFailure(answer.status, answer.headers) ?? this.#refusal(answer.status);
  }

  async begin(answer: Answer, total: number | null, from: number): Promise<boolean> {
    if (from > 0) return this.#representation !== null && goesOn(this.#representation, answer, total);
    const { name } = this.#source;
    const representation = representationOf(answer, total);
    if (representation === null || !this.#options.encodings.includes(representation.encoding))
      throw new UsageError(
        `Expected the bytes of ${name} as they are, got them packed (content-encoding ${answer.headers.get('content-encoding')?.slice(0, 20) ?? 'none'}); download the file and name it by its path.`,
      );
    if (total === null && answer.headers.get('transfer-encoding') === null)
      throw new UsageError(
        `Expected the server to say how long ${name} is, but it does not, so that a file that is cut off would not be noticed; download the file and name it by its path.`,
      );
    if (total !== null && total > this.#options.maxBytes) throw this.#tooLarge(gigabytes(total));
    const before = this.#representation ?? this.#kept;
    if (before !== null && before.validator !== representation.validator)
      this.#options.onNote?.(`${name} has changed on its server meanwhile; it is downloaded anew`);
    this.#representation = representation;
    await this.#options.onBegin(representation);
    return true;
  }

  checkLength(bytes: number): void {
    if (bytes > this.#options.maxBytes) throw this.#tooLarge('more');
  }

  #tooLarge(got: string): SourceTooLarge {
    const { maxBytes } = this.#options;
    return new SourceTooLarge(
      `Expected at most ${gigabytes(maxBytes)} at ${this.#source.name}, got ${got}; allow more with --max-download, in GB.`,
      { details: { most: maxBytes } },
    );
  }

  #conditions(from: number): Record<string, string> {
    const begun = this.#representation;
    if (begun === null) return this.#kept === null ? {} : unlessUnchanged(this.#kept);
    // Without a name for the bytes so far, the server can only be asked for all.
    if (from === 0 || begun.validator === null) return {};
    return { range: `bytes=${from}-`, 'if-range': begun.validator };
  }

  async #get(conditions: Readonly<Record<string, string>>): Promise<Answer> {
    const { hosts, stallMs, signal } = this.#options;
    const { url: start, authorization, name } = this.#source;
    const watchdog = new Watchdog(stallMs, signal, downloadStopped);
    try {
      const answer = await follow(start, {
        headers: { 'accept-encoding': 'identity', ...conditions },
        authorization,
        send: (url, headers) => checkedGet(url, headers, { lookup: hosts.lookup(url), watchdog }),
        next: (from, location) => hosts.next(from, location),
        tooLong: (redirects) =>
          new UsageError(
            `Expected a file after at most ${redirects} redirects from ${name}, got another redirect; check the URL.`,
          ),
      });
      this.#met = true;
      return endingWatch(answer, watchdog);
    } catch (error) {
      watchdog.end();
      if (!(error instanceof Interrupted) || error.reached || this.#met) throw error;
      throw new SourceUnreachable(`Could not begin ${this.task}: ${error.message}; check the URL.`, {
        cause: error,
      });
    }
  }

  /** The error for a status that no further attempt will change. */
  #refusal(status: number): UsageError {
    const { name, url, authorization } = this.#source;
    const details = { url: name, status };
    if (status === 404 || status === 410)
      return new UsageError(`There is no file at ${name} (${status}); check the URL.`, { details });
    if (status === 401 || status === 403) {
      const advice =
        authorization === null
          ? `if you have a key for it, set ${hostKeyVariable(url)}; or give a signed URL, or download the file and name it by its path`
          : 'check the key, or the name and password';
      return new UsageError(`${url.host} does not give out ${name} (${status}); ${advice}.`, { details });
    }
    return new UsageError(
      `${url.host} answered ${status} for ${name}, which is no answer with a file; check the URL.`,
      { details },
    );
  }
}

function gigabytes(bytes: number): string {
  return bytes >= 1e7 ? `${Number((bytes / 1e9).toFixed(2))} GB` : `${bytes} bytes`;
}
