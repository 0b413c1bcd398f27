import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** The commit of every repository of a hub that does not say otherwise. */
export const hubCommit = '0123456789abcdef0123456789abcdef01234567';

/** A request as a server saw it. */
export interface SeenRequest {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** How a server treats one request for a file; without any it answers as the Hub does. */
export interface Misbehaviour {
  /** Cuts the connection after so many bytes of the body. */
  readonly cutAfter?: number;
  /** Sends so many bytes of the body and then nothing, the connection open. */
  readonly stallAfter?: number;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Answers a request for a range with the whole file. */
  readonly ignoreRange?: boolean;
  /** Answers a request for a range with another one, so many bytes before. */
  readonly shiftRange?: number;
  /** Sends other bytes than the file's. */
  readonly content?: Buffer;
  /** Answers only once this is fulfilled. */
  readonly after?: Promise<void>;
  /** Sends the body in pieces without saying how long it is. */
  readonly chunked?: boolean;
}

export interface FileRequest {
  readonly path: string;
  /** Counts the requests for this path, from 1. */
  readonly attempt: number;
  readonly range: string | undefined;
}

export interface LoopbackHubOptions {
  /** `owner/name`; default acme/tiny. */
  readonly repo?: string;
  /** Contents by path; a content given as text is listed as a small file, bytes as an LFS file. */
  readonly files: Readonly<Record<string, string | Buffer>>;
  /** Commits by revision; default: main is `hubCommit`. */
  readonly revisions?: Readonly<Record<string, string>>;
  /** The listing's JSON, changed. */
  readonly editListing?: (listing: HubListing) => unknown;
  /** What goes wrong with the listing, by attempt from 1. */
  readonly listing?: (attempt: number) => Misbehaviour | undefined;
  /** What goes wrong with a file, on whichever server sends its bytes. */
  readonly file?: (request: FileRequest) => Misbehaviour | undefined;
  /** LFS files are redirected to a second server; default true. */
  readonly redirect?: boolean;
  /** Where a file is redirected to instead. */
  readonly location?: (path: string, cdn: string) => string | undefined;
  /** Requests without this token are refused as the Hub refuses a gated model. */
  readonly token?: string;
}

export interface HubListing {
  sha: string;
  siblings: Record<string, unknown>[];
}

export interface LoopbackHub {
  readonly url: string;
  /** Requests that the hub itself saw. */
  readonly requests: readonly SeenRequest[];
  /** The second server, which has the large files. */
  readonly cdn: { readonly url: string; readonly requests: readonly SeenRequest[] };
}

/** The address of a port of this machine on which nothing listens. */
export async function deadAddress(): Promise<string> {
  const server = createServer();
  const url = await listenOn(server);
  await new Promise((resolve) => server.close(resolve));
  return url;
}

/** A stand-in for the Hugging Face Hub and its CDN, on two ports of this machine; closed when the running test ends. */
export async function startLoopbackHub(options: LoopbackHubOptions): Promise<LoopbackHub> {
  const requests: SeenRequest[] = [];
  const cdnRequests: SeenRequest[] = [];
  const attempts = new Map<string, number>();
  const attemptOf = (name: string): number => {
    attempts.set(name, (attempts.get(name) ?? 0) + 1);
    return attempts.get(name)!;
  };
  const sendFile = (path: string, request: IncomingMessage, response: ServerResponse): void => {
    const content = options.files[path];
    if (content === undefined) return refuse(response, 404, 'EntryNotFound');
    const { range } = request.headers;
    const fault = options.file?.({ path, attempt: attemptOf(path), range }) ?? {};
    send(response, Buffer.from(content), range, fault);
  };
  const { url: cdn } = await listen((request, response) => {
    cdnRequests.push({ url: request.url!, headers: request.headers });
    sendFile(decodeURIComponent(new URL(request.url!, 'http://cdn').pathname.slice(1)), request, response);
  });
  const { url: hub } = await listen((request, response) => {
    requests.push({ url: request.url!, headers: request.headers });
    const refusal = refusalOf(request, options);
    if (refusal !== null) return refuse(response, ...refusal);
    const path = filePath(request.url!, options);
    if (path === null) {
      const fault = options.listing?.(attemptOf('listing')) ?? {};
      return send(response, Buffer.from(JSON.stringify(listingOf(request.url!, options))), undefined, fault);
    }
    const target = locationOf(path, cdn, options);
    if (target === null) return sendFile(path, request, response);
    response.writeHead(302, { location: target }).end();
  });
  return { url: hub, requests, cdn: { url: cdn, requests: cdnRequests } };
}

/** Contents of a model's usual files; the weights have `size` bytes. */
export function modelFiles(size = 300_000): Record<string, string | Buffer> {
  return {
    'config.json': '{"model_type": "llama"}\n',
    'tokenizer.json': '{"version": "1.0"}\n',
    'README.md': '# A model\n',
    'model.safetensors': patternBytes(size),
  };
}

/** Bytes that repeat nowhere near, so that a piece in the wrong place is noticed. */
export function patternBytes(size: number, seed = 'a'): Buffer {
  const name = `${size} ${seed}`;
  const known = patterns.get(name) ?? makePattern(size, seed);
  patterns.set(name, known);
  return known;
}

const patterns = new Map<string, Buffer>();

function makePattern(size: number, seed: string): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 32) }, (_, i) =>
    createHash('sha256').update(`${seed} ${i}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, size);
}

/** The name of a content's blob in the cache. */
export function blobName(content: string | Buffer): string {
  return Buffer.isBuffer(content) ? sha256(content) : gitHash(content);
}

/** A server on a port of this machine; closed when the running test ends, if not before. */
export async function listen(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer(handler);
  const url = await listenOn(server);
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(close);
  return { url, close };
}

async function listenOn(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function refusalOf(
  request: IncomingMessage,
  options: LoopbackHubOptions,
): [status: number, code: string | null] | null {
  const { repo = 'acme/tiny' } = options;
  const url = request.url!;
  if (!url.startsWith(`/api/models/${repo}/`) && !url.startsWith(`/${repo}/`)) return [401, 'RepoNotFound'];
  if (url.startsWith('/api/') && commitOf(url, options) === undefined) return [404, 'RevisionNotFound'];
  if (options.token === undefined || request.headers.authorization === `Bearer ${options.token}`) return null;
  return request.headers.authorization === undefined ? [401, 'GatedRepo'] : [403, 'GatedRepo'];
}

function refuse(response: ServerResponse, status: number, code: string | null): void {
  response.writeHead(status, code === null ? {} : { 'x-error-code': code }).end('no');
}

/** The path in the repository that a URL of the hub means; null for the listing. */
function filePath(url: string, { repo = 'acme/tiny' }: LoopbackHubOptions): string | null {
  const prefix = `/${repo}/resolve/`;
  return url.startsWith(prefix) ? decodeURIComponent(url.slice(prefix.length + hubCommit.length + 1)) : null;
}

function commitOf(
  url: string,
  { repo = 'acme/tiny', revisions = { main: hubCommit } }: LoopbackHubOptions,
): string | undefined {
  const revision = decodeURIComponent(url.slice(`/api/models/${repo}/revision/`.length).replace(/\?.*/, ''));
  return Object.values(revisions).includes(revision) ? revision : revisions[revision];
}

function locationOf(
  path: string,
  cdn: string,
  { files, redirect = true, location }: LoopbackHubOptions,
): string | null {
  const given = location?.(path, cdn);
  if (given !== undefined) return given;
  return redirect && Buffer.isBuffer(files[path])
    ? `${cdn}/${encodeURIComponent(path)}?signature=secret`
    : null;
}

function listingOf(url: string, options: LoopbackHubOptions): unknown {
  const siblings = Object.entries(options.files).map(([rfilename, content]) => ({
    rfilename,
    size: Buffer.byteLength(content),
    blobId: gitHash(content),
    ...(Buffer.isBuffer(content) && {
      lfs: { sha256: sha256(content), size: content.byteLength, pointerSize: 135 },
    }),
  }));
  const listing: HubListing = { sha: commitOf(url, options)!, siblings };
  return options.editListing?.(listing) ?? listing;
}

/** Sends a file, or the range that was asked for, with what is to go wrong. */
export function send(
  response: ServerResponse,
  whole: Buffer,
  range: string | undefined,
  fault: Misbehaviour,
): void {
  const { after, ...rest } = fault;
  if (after !== undefined) {
    void after.then(() => send(response, whole, range, rest));
    return;
  }
  if (fault.status !== undefined) {
    response.writeHead(fault.status, fault.headers ?? {}).end('trouble');
    return;
  }
  const content = fault.content ?? whole;
  const asked = fault.ignoreRange === true ? null : /^bytes=(\d+)-$/.exec(range ?? '');
  const start = asked === null ? 0 : Number(asked[1]) - (fault.shiftRange ?? 0);
  const body = content.subarray(start);
  response.writeHead(asked === null ? 200 : 206, {
    ...(fault.chunked === true ? {} : { 'content-length': body.byteLength }),
    ...(asked === null
      ? {}
      : { 'content-range': `bytes ${start}-${content.byteLength - 1}/${content.byteLength}` }),
    ...fault.headers,
  });
  const limit = fault.cutAfter ?? fault.stallAfter;
  if (limit === undefined) {
    response.end(body);
    return;
  }
  // Cut only once the bytes are on their way.
  response.write(body.subarray(0, limit), () => {
    if (fault.cutAfter !== undefined) setImmediate(() => response.destroy());
  });
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function gitHash(content: string | Buffer): string {
  return createHash('sha1')
    .update(`blob ${Buffer.byteLength(content)}\0`)
    .update(content)
    .digest('hex');
}
