import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { listen, type Misbehaviour, send } from './loopback-hub.ts';

/** A file as the server has it at one moment. */
export interface ServedFile extends Misbehaviour {
  readonly content: Buffer;
  /** With quotation marks; null for a server that names no versions. */
  readonly etag?: string | null;
  /** Answers with this instead of looking for what would be right. */
  readonly raw?: (response: ServerResponse) => void;
}

export interface FileServer {
  /** Without a slash at the end. */
  readonly url: string;
  /** Name and port. */
  readonly host: string;
  /** Makes it go away before the test ends. */
  readonly close: () => Promise<void>;
  readonly requests: readonly { readonly url: string; readonly headers: IncomingHttpHeaders }[];
}

/**
 * A web server of files on a port of this machine, with ranges, `If-Range` and `If-None-Match`; closed when the running test
 * ends.
 *
 * @param serve Says what is at a path; `attempt` counts the requests for it from 1.
 */
export async function startFileServer(
  serve: (path: string, attempt: number) => ServedFile | null,
): Promise<FileServer> {
  const requests: { url: string; headers: IncomingHttpHeaders }[] = [];
  const attempts = new Map<string, number>();
  const { url, close } = await listen((request: IncomingMessage, response: ServerResponse) => {
    requests.push({ url: request.url!, headers: request.headers });
    const path = new URL(request.url!, 'http://here').pathname;
    attempts.set(path, (attempts.get(path) ?? 0) + 1);
    const file = serve(path, attempts.get(path)!);
    if (file === null) response.writeHead(404).end('no');
    else answer(file, request.headers, response);
  });
  return { url, host: new URL(url).host, close, requests };
}

function answer(file: ServedFile, headers: IncomingHttpHeaders, response: ServerResponse): void {
  const { etag = '"one"', raw } = file;
  if (raw !== undefined) {
    raw(response);
    return;
  }
  if (etag !== null && headers['if-none-match'] === etag) {
    response.writeHead(304, { etag }).end();
    return;
  }
  const ifRange = headers['if-range'];
  const isSame = ifRange === undefined || ifRange === etag;
  send(response, file.content, isSame ? headers.range : undefined, {
    ...file,
    headers: { ...(etag === null ? {} : { etag }), ...file.headers },
  });
}
