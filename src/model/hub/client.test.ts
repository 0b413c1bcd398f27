import { afterEach, describe, expect, it, vi } from 'vitest';
import { askHub } from './client.ts';
import { Interrupted } from '../../util/http/network-failure.ts';
import { AbortError } from '../../errors.ts';

interface Sent {
  readonly url: string;
  readonly authorization: string | null;
}

/** Stands in for the network: one answer per request, in order. */
function stubFetch(...answers: readonly (() => Response | Promise<Response>)[]): Sent[] {
  const sent: Sent[] = [];
  vi.stubGlobal('fetch', (url: URL, { headers }: { headers: Record<string, string> }) => {
    sent.push({ url: url.href, authorization: new Headers(headers).get('authorization') });
    return Promise.resolve(answers[sent.length - 1]!());
  });
  return sent;
}

const redirect = (location: string) => () => new Response(null, { status: 302, headers: { location } });
const found = () => new Response('content');
const ask = (endpoint: string, signal?: AbortSignal) =>
  askHub(
    { endpoint, token: 'hf_secret', stallMs: 1000 },
    { path: 'x', purpose: { repo: 'acme/tiny', revision: 'main', path: 'x' }, signal },
  );

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('askHub', () => {
  it('keeps the token on its own host, whatever the redirect looks like', async () => {
    const sent = stubFetch(
      redirect('/same'),
      redirect('//hub.test/again'),
      redirect('https://hub.test:8443/port'),
      redirect('https://hub.test/back'),
      found,
    );
    await ask('https://hub.test');
    expect(sent.map(({ url, authorization }) => [url, authorization === null ? null : 'token'])).toEqual([
      ['https://hub.test/x', 'token'],
      ['https://hub.test/same', 'token'],
      ['https://hub.test/again', 'token'],
      ['https://hub.test:8443/port', null],
      ['https://hub.test/back', null],
    ]);
  });

  it.each([
    'https://hub.test.evil.test/',
    'https://evil.test/hub.test',
    'https://HUB.TEST./',
    'https://hub.test:444/',
  ])('sends no token to %s', async (location) => {
    const sent = stubFetch(redirect(location), found);
    await ask('https://hub.test');
    expect(sent.map(({ authorization }) => authorization)).toEqual(['Bearer hf_secret', null]);
  });

  it.each(['http://hub.test/x', 'http://cdn.test/x', 'http://127.0.0.1/x'])(
    'does not follow from https to %s',
    async (location) => {
      const sent = stubFetch(redirect(location), found);
      await expect(ask('https://hub.test')).rejects.toThrow(
        /^hub\.test redirects to \S+ without encryption, which is not followed; check HF_ENDPOINT\.$/,
      );
      expect(sent).toHaveLength(1);
    },
  );

  it('goes from https to http where the endpoint is this machine itself', async () => {
    const sent = stubFetch(redirect('https://cdn.test/a'), redirect('http://127.0.0.1:99/b'), found);
    await ask('http://127.0.0.1:88');
    expect(sent.map(({ authorization }) => authorization)).toEqual(['Bearer hf_secret', null, null]);
  });

  it.each([
    'file:///etc/passwd',
    'ftp://hub.test/',
    'data:,x',
    'https://a:b@hub.test/',
    'https://hub.test@evil.test/',
    'http://[',
  ])('does not follow to %s', async (location) => {
    const sent = stubFetch(redirect(location), found);
    await expect(ask('https://hub.test')).rejects.toThrow(/redirects to what is no http\(s\) address/);
    expect(sent).toHaveLength(1);
  });

  it('never shows the query of an address, which holds a signature', async () => {
    const broken = () => Promise.reject(new TypeError('fetch failed'));
    stubFetch(redirect('https://cdn.test/a?signature=secret'), broken);
    const error: unknown = await ask('https://hub.test').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Interrupted);
    expect(String(error)).toBe('Error: the connection to cdn.test was cut');
  });

  it('ends with the signal of its caller, before the answer and in the middle of it', async () => {
    stubFetch(() => Promise.reject(new DOMException('aborted', 'AbortError')));
    await expect(ask('https://hub.test', AbortSignal.abort())).rejects.toThrow(AbortError);
    // A body whose read never settles, as `fetch` has them when an abort meets the last bytes.
    stubFetch(() => new Response(new ReadableStream({ pull: () => new Promise(() => undefined) })));
    const controller = new AbortController();
    const { body } = await ask('https://hub.test', controller.signal);
    const reading = body.next();
    controller.abort();
    await expect(reading).rejects.toThrow(AbortError);
  });

  it('gives a body up on which nothing comes', async () => {
    vi.useFakeTimers();
    try {
      stubFetch(() => new Response(new ReadableStream({ pull: () => new Promise(() => undefined) })));
      const { body } = await ask('https://hub.test');
      const reading = body.next().catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(1001);
      expect(await reading).toMatchObject({ message: 'nothing came from hub.test for 1 s' });
    } finally {
      vi.useRealTimers();
    }
  });
});
