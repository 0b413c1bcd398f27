import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type FileServer, type ServedFile, startFileServer } from '../../../test/helpers/file-server.ts';
import { patternBytes } from '../../../test/helpers/loopback-hub.ts';
import { impatient } from '../../../test/helpers/pull-scene.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { AbortError, StoreError, UsageError } from '../../errors.ts';
import { urlReader } from './dataset-files.ts';
import type { SourceOptions } from './source-file.ts';

const content = patternBytes(300_000);

interface Scene {
  readonly server: FileServer;
  readonly cache: string;
  readonly notes: string[];
  /** Fetches `/rows.jsonl`, or another path, as a process would that begins now. */
  readonly fetch: (options?: SourceOptions, path?: string) => Promise<Buffer>;
  /** Ranges that were asked for, in order. */
  readonly ranges: () => (string | undefined)[];
  /** Names of all files in the cache, sorted. */
  readonly files: () => Promise<string[]>;
}

async function scene(serve: (path: string, attempt: number) => ServedFile | null): Promise<Scene> {
  const server = await startFileServer(serve);
  const cache = await temporaryFolder();
  const notes: string[] = [];
  const usual: SourceOptions = {
    allowHosts: [server.host],
    cacheFolder: cache,
    patience: impatient,
    onNote: (line) => notes.push(line),
  };
  return {
    server,
    cache,
    notes,
    fetch: async (options = {}, path = '/rows.jsonl') => {
      const { path: file } = await urlReader({ ...usual, ...options })(`${server.url}${path}`);
      return readFile(file);
    },
    ranges: () => server.requests.map(({ headers }) => headers.range),
    files: async () => {
      const entries = await readdir(cache, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile())
        .map(({ name }) => name.replace(/^[0-9a-f]{64}$/, 'hash'))
        .sort();
    },
  };
}

describe('a file from a web server', () => {
  it('is kept, and taken from the cache as long as the server says that it is the same', async () => {
    const { fetch, server, files, notes } = await scene(() => ({ content }));
    expect((await fetch()).equals(content)).toBe(true);
    expect((await fetch()).equals(content)).toBe(true);
    expect(server.requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"one"']);
    expect(notes).toEqual([expect.stringMatching(/^http:\S+\/rows\.jsonl has not changed/)]);
    expect(await files()).toEqual(['hash', 'kept.json']);
  });

  it('is downloaded again where it has changed, where the copy is damaged, and where no version has a name', async () => {
    let file: ServedFile = { content };
    const { fetch, notes, cache, server } = await scene(() => file);
    await fetch();
    file = { content: patternBytes(1000, 'b'), etag: '"two"' };
    expect((await fetch()).equals(file.content)).toBe(true);
    expect(notes).toEqual([expect.stringContaining('has changed on its server')]);
    const reader = urlReader({ allowHosts: [server.host], cacheFolder: cache });
    const { path } = await reader(`${server.url}/rows.jsonl`);
    await writeFile(path, patternBytes(1000, 'c'));
    expect((await fetch()).equals(file.content)).toBe(true);
    file = { content: patternBytes(2000, 'd'), etag: null };
    expect((await fetch()).equals(file.content)).toBe(true);
    file = { content: patternBytes(2000, 'e'), etag: null };
    expect((await fetch()).equals(file.content)).toBe(true);
  });

  it('is taken from the cache where no server is met, which is told, and not where one refuses it', async () => {
    let file: ServedFile | null = { content };
    const { fetch, server, notes } = await scene(() => file);
    await fetch();
    file = null;
    await expect(fetch()).rejects.toThrow(/There is no file/);
    await server.close();
    expect((await fetch()).equals(content)).toBe(true);
    expect(notes).toEqual([expect.stringMatching(/cannot be asked for now; the copy in the cache is read/)]);
    await expect(fetch({}, '/other.jsonl')).rejects.toThrow(/refused the connection; check the URL/);
  });

  it('is gone on with where the connection was cut', async () => {
    const { fetch, server } = await scene((_, attempt) =>
      attempt === 1 ? { content, cutAfter: 100_000 } : { content },
    );
    expect((await fetch()).equals(content)).toBe(true);
    const [, second] = server.requests;
    expect(second!.headers['if-range']).toBe('"one"');
    const from = Number(/^bytes=(\d+)-$/.exec(second!.headers.range ?? '')?.[1]);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(100_000);
    expect(server.requests).toHaveLength(2);
  });

  const other = patternBytes(250_000, 'b');
  it.each<[string, readonly ServedFile[], Buffer]>([
    [
      'it changed meanwhile',
      [
        { content, cutAfter: 100_000 },
        { content: other, etag: '"two"' },
      ],
      other,
    ],
    [
      'it changed meanwhile, and the server goes on regardless',
      [
        { content, cutAfter: 100_000 },
        {
          content: other,
          etag: '"two"',
          headers: { 'x-regardless': '1' },
          raw: goOnRegardless(other, '"two"'),
        },
        { content: other, etag: '"two"' },
      ],
      other,
    ],
    [
      'the server names no versions',
      [
        { content, etag: null, cutAfter: 100_000 },
        { content, etag: null },
      ],
      content,
    ],
    [
      'a version has a weak name',
      [
        { content, etag: 'W/"a"', cutAfter: 100_000 },
        { content, etag: 'W/"a"' },
      ],
      content,
    ],
    [
      'the server ignores ranges',
      [
        { content, cutAfter: 100_000 },
        { content, ignoreRange: true },
      ],
      content,
    ],
    [
      'the server sends another range',
      [{ content, cutAfter: 100_000 }, { content, shiftRange: 10 }, { content }],
      content,
    ],
    [
      'the server has no such range',
      [{ content, cutAfter: 100_000 }, { content, status: 416 }, { content }],
      content,
    ],
    ['the server is busy', [{ content, status: 429, headers: { 'retry-after': '0' } }, { content }], content],
    ['the server says no length', [{ content, chunked: true }], content],
  ])('is right though %s', async (_, answers, expected) => {
    const { fetch } = await scene((__, attempt) => answers[Math.min(attempt, answers.length) - 1]!);
    expect((await fetch()).equals(expected)).toBe(true);
  });

  it('goes on in another process, and starts again where the file changed in between or the machine was started again', async () => {
    let file: ServedFile = { content, stallAfter: 100_000 };
    const { fetch, ranges, cache, files } = await scene(() => file);
    const stop = async (): Promise<void> => {
      const stopping = new AbortController();
      const onProgress = ({ doneBytes }: { readonly doneBytes: number }): void => {
        if (doneBytes >= 100_000) stopping.abort();
      };
      await expect(fetch({ signal: stopping.signal, onProgress })).rejects.toThrow(AbortError);
      expect(await files()).toEqual(['begun.json', 'incomplete']);
    };
    await stop();
    file = { content };
    expect((await fetch()).equals(content)).toBe(true);
    expect(ranges()).toEqual([undefined, 'bytes=100000-']);

    for (const [name, change] of [
      ['/changed.jsonl', () => void (file = { content: other, etag: '"two"' })],
      ['/restarted.jsonl', () => restarted(cache)],
    ] as const) {
      file = { content, stallAfter: 100_000 };
      const stopping = new AbortController();
      const onProgress = ({ doneBytes }: { readonly doneBytes: number }): void => {
        if (doneBytes >= 100_000) stopping.abort();
      };
      await expect(fetch({ signal: stopping.signal, onProgress }, name)).rejects.toThrow(AbortError);
      file = { content };
      await change();
      expect((await fetch({}, name)).equals(file.content)).toBe(true);
    }
    expect(ranges().slice(2)).toEqual([undefined, 'bytes=100000-', undefined, undefined]);
  });

  it.each<[string, ServedFile | null, SourceOptions, RegExp]>([
    ['is not there', null, {}, /^There is no file at http:\S+\/rows\.jsonl \(404\); check the URL\.$/],
    [
      'needs a login',
      { content, status: 401 },
      {},
      /does not give out http:\S+ \(401\); if you have a key for it, set PERSONA_KEY_127_0_0_1;/,
    ],
    [
      'answers with nothing',
      { content, status: 204 },
      {},
      /answered 204 for http:\S+, which is no answer with a file/,
    ],
    [
      'is larger than allowed',
      { content },
      { maxBytes: 1000 },
      /Expected at most 1000 bytes .* got 300000 bytes; allow more with --max-download/,
    ],
    [
      'never ends',
      { content, raw: endless },
      { maxBytes: 5e6 },
      /Expected at most 5000000 bytes .* got more; allow/,
    ],
    [
      'is slow',
      { content, stallAfter: 1000 },
      { patience: { ...impatient, stallMs: 50 } },
      /^Gave up downloading http:\S+ after 3 failures in a row \(the last: nothing came from \S+ for 0\.05 s\)/,
    ],
    [
      'ends early every time',
      { content, headers: { 'content-length': '300001' }, etag: null },
      {},
      /^Gave up .* 3 failures in a row/,
    ],
    [
      'has no length and no end of its own',
      { content, raw: withoutLength },
      {},
      /Expected the server to say how long/,
    ],
    [
      'is packed in another way',
      { content, headers: { 'content-encoding': 'br' } },
      {},
      /got them packed \(content-encoding br\)/,
    ],
    [
      'does not fit on the disk',
      { content },
      { freeBytes: () => Promise.resolve(1000) },
      /Expected 0\.06 GB free .* PERSONA_CACHE/,
    ],
  ])('that %s is refused, and leaves nothing that looks like a file', async (_, file, options, message) => {
    const { fetch, files } = await scene(() => file);
    const error: unknown = await fetch(options).catch((thrown: unknown) => thrown);
    expect(error instanceof UsageError || error instanceof StoreError).toBe(true);
    expect((error as Error).message).toMatch(message);
    expect(
      (await files()).filter((name) => name === 'hash' || name === 'kept.json' || name === 'lock'),
    ).toEqual([]);
  });

  it('is unpacked where the server packed it for the way', async () => {
    const text = Buffer.from('{"prompt": "a", "answer": "b"}\n');
    const { server, cache } = await scene((path) => ({
      content: gzipSync(text),
      headers: { 'content-encoding': path.startsWith('/z') ? 'zstd' : 'gzip' },
    }));
    const read = urlReader({ allowHosts: [server.host], cacheFolder: cache });
    expect((await read(`${server.url}/a.jsonl`)).compression).toBe('gzip');
    expect((await read(`${server.url}/z.jsonl`)).compression).toBe('zstd');
    // Some servers say of a .gz file that it is packed for the way; it is the file itself.
    expect((await read(`${server.url}/a.jsonl.gz`)).compression).toBe('gzip');
    await expect(read(`${server.url}/a.parquet`)).rejects.toThrow(
      /got them packed \(content-encoding gzip\)/,
    );
    await expect(read(`${server.url}/a.jsonl.zst`)).rejects.toThrow(/got them packed/);
  });
});

/** Answers as a server that knows ranges but not `If-Range`. */
function goOnRegardless(whole: Buffer, etag: string): NonNullable<ServedFile['raw']> {
  return (response) => {
    const start = 100;
    response.writeHead(206, { etag, 'content-range': `bytes ${start}-${whole.length - 1}/${whole.length}` });
    response.end(whole.subarray(start));
  };
}

function endless(response: Parameters<NonNullable<ServedFile['raw']>>[0]): void {
  response.writeHead(200);
  const more = (): void => {
    if (!response.destroyed) response.write(content, () => setImmediate(more));
  };
  more();
}

/** Ends where the connection does, so that nobody knows whether that was the end. */
function withoutLength(response: Parameters<NonNullable<ServedFile['raw']>>[0]): void {
  response.socket!.end(Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\n\r\n'), content]));
}

/** Makes what a stopped download noted look as if it were of before the machine was started. */
async function restarted(cache: string): Promise<void> {
  for (const name of await readdir(cache, { recursive: true })) {
    if (!name.endsWith('begun.json')) continue;
    const file = join(cache, name);
    await writeFile(
      file,
      JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), boot: 'before' }),
    );
  }
}
