import { describe, expect, it } from 'vitest';
import { startFileServer } from '../../../test/helpers/file-server.ts';
import { impatient } from '../../../test/helpers/pull-scene.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { UsageError } from '../../errors.ts';
import { AllowedHosts } from '../../util/http/allowed-hosts.ts';
import { urlReader } from './dataset-files.ts';
import { SourceHosts } from './source-hosts.ts';

const home = new URL('https://data.example.org/rows.jsonl');
const allowed = new AllowedHosts(['cdn.example.com', '10.0.0.5:8080', 'localhost:9000']);
const hosts = new SourceHosts(home, allowed);

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return null;
}

describe('a redirect of a data set', () => {
  it.each([
    ['/elsewhere.jsonl', 'https://data.example.org/elsewhere.jsonl'],
    ['https://cdn.example.com/x?signature=secret', 'https://cdn.example.com/x?signature=secret'],
    ['//cdn.example.com/x', 'https://cdn.example.com/x'],
  ])('to %s is followed', (location, to) => {
    expect(hosts.next(home, location).href).toBe(to);
  });

  it.each([
    [
      'https://evil.example.net/?signature=secret',
      'redirects to evil.example.net, which is not allowed; if you trust it, give --allow-host evil.example.net',
    ],
    ['https://data.example.org:8443/', '--allow-host data.example.org:8443'],
    ['https://data.example.org.evil.net/', '--allow-host data.example.org.evil.net'],
    ['http://data.example.org/rows.jsonl', 'without encryption'],
    ['http://cdn.example.com/rows.jsonl', 'without encryption'],
    ['file:///etc/passwd', 'no http(s) address'],
    ['ftp://data.example.org/x', 'no http(s) address'],
    ['data:text/plain,x', 'no http(s) address'],
    ['https://ann:secret@data.example.org/', 'no http(s) address'],
    ['https://127.0.0.1/', '--allow-host 127.0.0.1'],
    ['https://[::1]/', '--allow-host [::1]'],
    ['https://2130706433/', '--allow-host 127.0.0.1'],
    ['https://169.254.169.254/latest/meta-data', '--allow-host 169.254.169.254'],
  ])('to %s is not', (location, sentence) => {
    const error = thrownBy(() => hosts.next(home, location));
    expect(error).toBeInstanceOf(UsageError);
    const { message } = error as Error;
    expect(message).toContain(sentence);
    expect(message).not.toContain('secret');
  });

  it('from a host that is asked without encryption reaches no address of this network that is not allowed', () => {
    const open = new SourceHosts(new URL('http://data.example.org/'), allowed);
    expect(open.next(home, 'https://cdn.example.com/').host).toBe('cdn.example.com');
    const from = new URL('http://data.example.org/');
    expect(open.next(from, 'http://10.0.0.5:8080/x').host).toBe('10.0.0.5:8080');
    expect(() => open.next(from, 'http://10.0.0.5/x')).toThrow('--allow-host 10.0.0.5');
    expect(() => open.next(from, 'http://169.254.169.254/x')).toThrow('--allow-host 169.254.169.254');
  });
});

describe('the URL of a data set', () => {
  const nowhere = new AllowedHosts([]);

  it.each([
    'http://127.0.0.1:9/x.jsonl',
    'http://[::1]/x.jsonl',
    'https://169.254.169.254/x.jsonl',
    'http://0x7f000001/',
  ])('that is %s has to be allowed by name', (url) => {
    expect(() => new SourceHosts(new URL(url), nowhere)).toThrow(
      /is an address of this machine or its network/,
    );
  });

  it('is not asked for where its name has an address of this machine, which is found out when it is looked up', async () => {
    const server = await startFileServer(() => ({ content: Buffer.from('{}') }));
    const cacheFolder = await temporaryFolder();
    const url = server.url.replace('127.0.0.1', 'localhost');
    const host = new URL(url).host;
    const read = (allowHosts: readonly string[]): Promise<unknown> =>
      urlReader({ cacheFolder, allowHosts, patience: impatient })(`${url}/rows.jsonl`);
    await expect(read([])).rejects.toThrow(`give --allow-host ${host}`);
    expect(server.requests).toHaveLength(0);
    await read([host]);
    expect(server.requests).toHaveLength(1);
  });

  it('is told from others by its path, and shown without what may be secret', async () => {
    const server = await startFileServer(() => ({ content: Buffer.from('{}\n') }));
    const cacheFolder = await temporaryFolder();
    const read = urlReader({ cacheFolder, allowHosts: [server.host], patience: impatient });
    const withName = server.url.replace('http://', 'http://ann:s%20cret@');
    const file = await read(`${withName}/rows.jsonl?token=secret#x`);
    expect(file.name).toBe(`${server.url}/rows.jsonl?…`);
    expect((await read(`${server.url}/rows.jsonl?token=other`)).name).toBe(`${server.url}/rows.jsonl?… (2)`);
    expect((await read(`${withName}/rows.jsonl?token=secret#x`)).name).toBe(file.name);
    expect(server.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/rows.jsonl?token=secret', `Basic ${Buffer.from('ann:s cret').toString('base64')}`],
      ['/rows.jsonl?token=other', undefined],
    ]);
  });

  it('is opened by the key of its host, which goes there alone', async () => {
    const second = await startFileServer(() => ({ content: Buffer.from('{}\n') }));
    const first = await startFileServer(() => ({
      content: Buffer.alloc(0),
      status: 302,
      headers: { location: `${second.url}/there.jsonl` },
    }));
    const read = urlReader({
      cacheFolder: await temporaryFolder(),
      allowHosts: [first.host, second.host],
      environment: { PERSONA_KEY_127_0_0_1: 'k3y', PERSONA_KEY_DATA_EXAMPLE_ORG: 'k3y' },
      patience: impatient,
    });
    await read(`${first.url}/rows.jsonl`);
    expect(first.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer k3y']);
    expect(second.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    await expect(read('http://data.example.org/rows.jsonl?token=secret')).rejects.toThrow(
      /^Expected https for http:\/\/data\.example\.org, because PERSONA_KEY_DATA_EXAMPLE_ORG holds a key/,
    );
  });

  it('that redirects for ever is given up', async () => {
    const server = await startFileServer(() => ({
      content: Buffer.alloc(0),
      status: 302,
      headers: { location: '/again.jsonl' },
    }));
    const read = urlReader({
      cacheFolder: await temporaryFolder(),
      allowHosts: [server.host],
      patience: impatient,
    });
    await expect(read(`${server.url}/rows.jsonl`)).rejects.toThrow(/at most 8 redirects/);
    expect(server.requests).toHaveLength(9);
  });

  it('sends its name and password to its own host alone, and over no open line', async () => {
    const second = await startFileServer(() => ({ content: Buffer.from('{}\n') }));
    const first = await startFileServer(() => ({
      content: Buffer.alloc(0),
      status: 302,
      headers: { location: `${second.url}/there.jsonl` },
    }));
    const cacheFolder = await temporaryFolder();
    const withName = `${first.url.replace('http://', 'http://ann:secret@')}/rows.jsonl`;
    const refused = urlReader({ cacheFolder, allowHosts: [first.host], patience: impatient })(withName);
    await expect(refused).rejects.toThrow(`redirects to ${second.host}, which is not allowed`);
    expect(second.requests).toHaveLength(0);
    await urlReader({ cacheFolder, allowHosts: [first.host, second.host], patience: impatient })(withName);
    expect(second.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    await expect(urlReader()('http://ann:secret@data.example.org/rows.jsonl')).rejects.toThrow(
      /^Expected https for data\.example\.org, got http with a name and password/,
    );
  });

  it.each([
    ['ftp://data.example.org/rows.jsonl', /got one of ftp:\/\//],
    ['file:///etc/rows.jsonl', /got one of file:\/\//],
    ['https://ann:secret@:/', /^Expected the URL of a file, got a text that is none/],
    ['https://data.example.org/rows', /Expected a URL whose path ends in \.jsonl.* of data\.example\.org/],
    ['https://data.example.org/rows.csv?name=rows.jsonl', /Expected a URL whose path ends/],
  ])('%s is refused', async (url, message) => {
    const refused = urlReader()(url);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.not.toThrow(/secret/);
  });
});
