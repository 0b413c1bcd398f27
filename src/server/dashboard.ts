import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pathKind } from '../model/read-bytes.ts';
import { sha256 } from '../util/hash.ts';
import { HttpFailure } from './failure.ts';

interface Asset {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/** The dashboard's files by the path under which they are asked for; none of them is read from disk again. */
export type Dashboard = ReadonlyMap<string, Asset>;

/** Where `npm run build` puts it: the same place from `src/` and from `dist/`. */
const builtFolder: string = fileURLToPath(new URL('../../dist/web', import.meta.url));
const page = '/index.html';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The page runs its own scripts and styles, asks this server, and nothing else. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  // Reports of runs, which have a policy of their own.
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const pageHeaders = {
  'content-security-policy': policy,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};

/** Reads the built dashboard; null where it has not been built. */
export async function loadDashboard(folder: string = builtFolder): Promise<Dashboard | null> {
  if ((await pathKind(join(folder, page))) !== 'file') return null;
  const assets = new Map<string, Asset>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const path = file.slice(folder.length).replaceAll('\\', '/');
    assets.set(path, toAsset(path, new Uint8Array(await readFile(file))));
  }
  return assets;
}

function toAsset(path: string, bytes: Uint8Array<ArrayBuffer>): Asset {
  // The bundler names what is in this folder by its content.
  const fixed = path.startsWith('/assets/');
  return {
    bytes,
    headers: {
      'content-type': types[extname(path)] ?? 'application/octet-stream',
      'cache-control': fixed ? 'public, max-age=31536000, immutable' : 'no-cache',
      etag: `"${sha256(bytes).slice(0, 32)}"`,
      ...pageHeaders,
    },
  };
}

/** Whether a path is one of the dashboard's: its page at `/` and for every view below `/app`, or a file of it. */
export function isDashboardPath(path: string): boolean {
  return /^\/(?:$|app(?:\/|$)|assets\/|favicon\.svg$)/.test(path);
}

/** Answers a GET or HEAD of one of the dashboard's paths; throws HttpFailure 404 for a file that it does not have. */
export function answerDashboard(dashboard: Dashboard, { headers, url }: Request): Response {
  const { pathname } = new URL(url);
  const isView = pathname === '/' || /^\/app(?:\/|$)/.test(pathname);
  const asset = dashboard.get(isView ? page : pathname);
  if (asset === undefined) throw new HttpFailure(404, 'found no such file of the dashboard');
  const known = headers.get('if-none-match') === asset.headers['etag'];
  return new Response(known ? null : asset.bytes, { status: known ? 304 : 200, headers: asset.headers });
}
