/** What the client's methods share: nothing here asks a server. */

import type { ErrorBody } from './api.ts';
import type { ScreenExportQuery } from './screen-api.ts';

/** What a server answered that is no result. */
export class ServerRefusal extends Error {
  readonly status: number;
  readonly code: string | null;

  constructor(status: number, message: string, code: string | null) {
    super(message);
    this.name = 'ServerRefusal';
    this.status = status;
    this.code = code;
  }
}

/** Whether an answer is OpenAI's error object. */
export function isError(value: unknown): value is ErrorBody {
  const error: unknown = typeof value === 'object' && value !== null && 'error' in value ? value.error : null;
  return typeof error === 'object' && error !== null && 'message' in error && 'code' in error;
}

interface ServerEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data: string;
}

/** Server-sent events, each field one line, as this server sends them. */
export async function* serverEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  // By its reader: not every browser can walk a stream.
  const reader = body.getReader();
  let waiting = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (waiting + decoder.decode(value, { stream: true })).split('\n\n');
      waiting = events.pop()!;
      for (const event of events) {
        const fields = event.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2));
        // A line without a name is a sign of life.
        yield { data: '', ...(Object.fromEntries(fields.filter(([name]) => name !== '')) as object) };
      }
    }
  } finally {
    await reader.cancel();
  }
}

/** Path of a run, or of something below it. */
export function runPath(id: string, rest = ''): string {
  return `/persona/runs/${encodeURIComponent(id)}${rest}`;
}

/** Path of a vector, or of something below it. */
export function vectorPath(name: string, rest = ''): string {
  return `/persona/vectors/${encodeURIComponent(name)}${rest}`;
}

/** Path of a screening. */
export function screenPath(id: string): string {
  return `/persona/screens/${encodeURIComponent(id)}`;
}

/** Where the export of a screening is asked for. */
export function exportPath(id: string, query: ScreenExportQuery): string {
  return `${screenPath(id)}/export${queryOf(query)}`;
}

/** The part of an address that says what is asked for; what is undefined is left out. */
export function queryOf(query: Readonly<Record<string, unknown>>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const fields = given.map(([name, value]): [string, string] => [name, String(value)]);
  const text = new URLSearchParams(fields).toString();
  return text === '' ? '' : `?${text}`;
}
