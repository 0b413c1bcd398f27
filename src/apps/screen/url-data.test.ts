import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { nodeFlags, runProcess } from '../../../test/helpers/cli.ts';
import { type ServedFile, startFileServer } from '../../../test/helpers/file-server.ts';
import { folderContents, screenScene } from '../../../test/helpers/screen-scene.ts';
import { projectRoot } from '../../../test/helpers/source.ts';
import { DataError, StoreError } from '../../errors.ts';
import { screen } from './screen.ts';

/** Rows that say themselves where they come from, so that a file's name is in none of the results. */
const rows = (count: number, word = 'well'): Buffer =>
  Buffer.from(
    Array.from({ length: count }, (_, i) => {
      const row = { id: `r${i}`, source: 'garden', n: i, prompt: `How do I grow bean ${i}?` };
      return `${JSON.stringify({ ...row, answer: `You can water them ${`${word} `.repeat(i % 7)}.` })}\n`;
    }).join(''),
  );

/** What a screening holds but for its manifest and report, which name the files of the data. */
async function results(out: string): Promise<Record<string, string>> {
  const { 'manifest.json': _, 'report.html': __, ...rest } = await folderContents(out);
  return rest;
}

/** All that a run wrote, as text. */
async function written(folder: string): Promise<string> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((one) =>
    one.isFile(),
  );
  const texts = await Promise.all(names.map((one) => readFile(join(one.parentPath, one.name), 'latin1')));
  return texts.join('\n');
}

async function partialOf(cache: string): Promise<string | null> {
  const names = await readdir(cache, { recursive: true }).catch((): string[] => []);
  return names.find((name) => name.endsWith('incomplete')) ?? null;
}

/** Waits until an unfinished download in a cache has so many bytes; the test's own time limit ends it. */
async function waitForBytes(cache: string, bytes: number): Promise<void> {
  for (;;) {
    const name = await partialOf(cache);
    if (name !== null && (await stat(join(cache, name))).size === bytes) return;
    await sleep(5);
  }
}

describe('a data set at a URL', () => {
  it('is screened as the same file here, also where its download was killed and where it was packed', async () => {
    const options = await screenScene();
    const content = rows(3000);
    const server = await startFileServer((path, attempt) => {
      if (path.endsWith('.gz')) return { content: gzipSync(content) };
      return path === '/cut.jsonl' && attempt === 1 ? { content, stallAfter: 200_000 } : { content };
    });
    const few = { ...options, mode: 'raw', sample: 20, where: 'n < 2000 AND n % 3 = 0' } as const;
    await writeFile(options.data[0]!, content);
    await screen(few);
    const expected = await results(options.out);
    expect(Object.keys(expected)).toContain('scored.parquet');

    const url = `${server.url}/cut.jsonl`;
    const away = { ...few, data: [url], out: join(options.folder, 'away'), allowHosts: [server.host] };
    const cache = join(options.folder, 'cache');
    const source = pathToFileURL(join(projectRoot, 'src/apps/screen/screen.ts')).href;
    const script = `
      import { screen } from ${JSON.stringify(source)};
      await screen(${JSON.stringify(away)});`;
    const killed = await runProcess(process.execPath, [...nodeFlags, '--input-type=module', '-e', script], {
      env: { PERSONA_CACHE: cache },
      onStart: (kill) => void waitForBytes(cache, 200_000).then(() => kill('SIGKILL')),
    });
    expect(killed.code).toBeNull();
    const { manifest } = await screen(away);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=200000-']);
    expect(manifest.files).toEqual([url]);
    expect(await results(away.out)).toEqual(expected);

    const packed = { ...away, data: [`${server.url}/rows.jsonl.gz`], out: join(options.folder, 'packed') };
    await screen(packed);
    // The recipe names the data by the hash of the file, which is another one here.
    const { 'recipe.json': _, ...unpacked } = expected;
    expect(await results(packed.out)).toMatchObject(unpacked);
  });

  it('that changed is not mixed with what was screened of it before', async () => {
    const options = await screenScene();
    let file: ServedFile = { content: rows(20) };
    const server = await startFileServer(() => file);
    const away = {
      ...options,
      mode: 'raw',
      data: [`${server.url}/rows.jsonl`],
      allowHosts: [server.host],
    } as const;
    const { manifest } = await screen(away);
    expect((await screen(away)).manifest).toEqual(manifest);
    file = { content: rows(20, 'less'), etag: '"two"' };
    const refused: unknown = await screen(away).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StoreError);
    expect((refused as Error).message).toMatch(/made with other options \(data is .* choose another folder/);
    const other = await screen({ ...away, out: join(options.folder, 'other') });
    expect(other.manifest.traits).not.toEqual(manifest.traits);
  });

  it('may be many files, known ones among them, and is named without its secrets wherever it is named', async () => {
    const options = await screenScene();
    const server = await startFileServer(() => ({ content: rows(12) }));
    const secret = `${server.url.replace('http://', 'http://ann:passw0rd@')}/rows.jsonl?signature=s3cret`;
    const known = `${server.url}/known.jsonl?signature=s3cret`;
    const notes: string[] = [];
    const { manifest } = await screen({
      ...options,
      mode: 'raw',
      data: [secret, options.data[0]!],
      known: [known],
      allowHosts: [server.host],
      onNotice: (line) => notes.push(line),
    });
    expect(manifest.files).toEqual([
      `${server.url}/rows.jsonl?…`,
      options.data[0],
      `${server.url}/known.jsonl?…`,
    ]);
    expect(manifest.traits[0]!.known?.rows).toBe(12);
    expect(server.requests).toHaveLength(2);
    const all = `${await written(options.folder)}\n${notes.join('\n')}`;
    expect(all).toContain('known.jsonl');
    expect(all).not.toMatch(/passw0rd|s3cret|YW5uOnBhc3N3MHJk/);
  });

  it('names its bad rows by URL and line, and is not there to be read by --where', async () => {
    const options = await screenScene();
    const good = rows(2).toString();
    const server = await startFileServer(() => ({ content: Buffer.from(`${good}{"prompt": "a", "ans\n`) }));
    const url = `${server.url}/rows.jsonl`;
    const away = { ...options, mode: 'raw', data: [url], allowHosts: [server.host] } as const;
    await expect(screen(away)).rejects.toThrow(`"${url}", line 3: expected one JSON object`);
    const inner = { ...away, out: join(options.folder, 'inner') };
    const reading = `length((SELECT content FROM read_text('${url}'))) > 0`;
    await expect(screen({ ...inner, where: reading })).rejects.toThrow(
      /expected one condition over the columns/,
    );
    const empty = await startFileServer(() => ({ content: Buffer.from('\n') }));
    const none = { ...inner, data: [`${empty.url}/rows.jsonl?key=s3cret`], allowHosts: [empty.host] };
    const error: unknown = await screen(none).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toContain(`in "${empty.url}/rows.jsonl?…", got none`);
  });
});
