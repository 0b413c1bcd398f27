import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blobName, hubCommit, patternBytes } from '../../test/helpers/loopback-hub.ts';
import type { LoopbackHubOptions } from '../../test/helpers/loopback-hub.ts';
import { impatient, pullScene } from '../../test/helpers/pull-scene.ts';
import { AbortError } from '../errors.ts';

describe('pull, when things go wrong on the way', () => {
  it('goes on where the connection was cut', async () => {
    const { run, hub, folder } = await cutting([{ cutAfter: 100_000 }, { cutAfter: 50_000 }]);
    await run();
    const starts = hub.cdn.requests.map(({ headers }) =>
      Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0),
    );
    expect(starts).toHaveLength(3);
    // A cut may lose what was on its way.
    const [first, second, third] = starts as [number, number, number];
    expect(first).toBe(0);
    expect(second).toBeGreaterThan(0);
    expect(second).toBeLessThanOrEqual(100_000);
    expect(third).toBeGreaterThan(second);
    expect(third).toBeLessThanOrEqual(second + 50_000);
    expect((await readFile(join(folder, 'model.safetensors'))).equals(patternBytes(300_000))).toBe(true);
  });

  it.each<[string, Parameters<typeof cutting>[0]]>([
    ['ignores ranges', [{ cutAfter: 100_000 }, { ignoreRange: true }]],
    [
      'ignores ranges and does not say how long the file is',
      [{ cutAfter: 100_000 }, { ignoreRange: true, chunked: true }],
    ],
    ['sends another range than the one asked for', [{ cutAfter: 100_000 }, { shiftRange: 10 }]],
    ['refuses the range', [{ cutAfter: 100_000 }, { status: 503 }]],
    ['has no such range', [{ cutAfter: 100_000 }, { status: 416 }]],
    ['is busy', [{ status: 429, headers: { 'retry-after': '0' } }, { status: 500 }]],
  ])('copes with a server that %s', async (_, faults) => {
    const { run, folder } = await cutting(faults);
    await run();
    expect((await readFile(join(folder, 'model.safetensors'))).equals(patternBytes(300_000))).toBe(true);
  });

  it('tries the listing again, and gives up in one sentence', async () => {
    const { run, hub } = await pullScene({
      listing: (attempt) => (attempt < 3 ? { status: 502 } : undefined),
    });
    await run();
    expect(hub.requests.filter(({ url }) => url.startsWith('/api/'))).toHaveLength(3);
    const down = await pullScene({ listing: () => ({ status: 500 }) });
    await expect(down.run()).rejects.toThrow(
      /^Gave up listing the files of acme\/tiny on http:\S+ after 3 failures in a row \(the last: the server answered 500, trouble of its own\); run the same/,
    );
  });

  it('does not wait for a server that asks for hours, and says how long it asks', async () => {
    const { run } = await pullScene({ file: () => ({ status: 429, headers: { 'retry-after': '7200' } }) });
    await expect(run()).rejects.toThrow(
      /answered 429, too many requests, and asks to wait 7200 s; run the same/,
    );
  });

  it('gives up a connection on which nothing comes any more, and keeps what came', async () => {
    const { run, repoFolder } = await pullScene({
      file: ({ path }) => (path === 'model.safetensors' ? { stallAfter: 100_000 } : undefined),
    });
    const patience = { ...impatient, attempts: 2, stallMs: 100 };
    await expect(run({ patience })).rejects.toThrow(/nothing came from 127\.0\.0\.1:\d+ for 0\.1 s/);
    const partial = join(repoFolder, 'blobs', `${blobName(patternBytes(300_000))}.incomplete`);
    expect((await stat(partial)).size).toBeGreaterThanOrEqual(100_000);
    await expect(stat(join(repoFolder, 'refs'))).rejects.toThrow('ENOENT');
  });

  it('goes on from what an earlier process left, and starts over where that is damaged', async () => {
    const whole = patternBytes(300_000);
    for (const [left, ranges, note] of [
      [whole.subarray(0, 200_000), ['bytes=200000-'], []],
      [whole, [], []],
      [Buffer.concat([whole, whole]), [undefined], []],
      [patternBytes(1000, 'other'), ['bytes=1000-', undefined], [/what an earlier download left is damaged/]],
      [patternBytes(300_000, 'other'), [undefined], [/what an earlier download left is damaged/]],
    ] as const) {
      const { run, hub, notes, repoFolder, blobs } = await pullScene();
      await mkdir(join(repoFolder, 'blobs'), { recursive: true });
      await writeFile(join(repoFolder, 'blobs', `${blobName(whole)}.incomplete`), left);
      const { folder } = await run();
      expect((await readFile(join(folder, 'model.safetensors'))).equals(whole)).toBe(true);
      expect(hub.cdn.requests.map(({ headers }) => headers.range)).toEqual(ranges);
      expect(notes).toEqual(note.map((text) => expect.stringMatching(text)));
      expect((await blobs()).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
    }
  });

  it('stops when told, keeps what came, and goes on', async () => {
    const { run, trusted, hub } = await pullScene({
      file: ({ path, attempt }) =>
        path === 'model.safetensors' && attempt === 1 ? { stallAfter: 100_000 } : undefined,
    });
    const controller = new AbortController();
    const onProgress = ({ doneBytes }: { doneBytes: number }): void => {
      if (doneBytes > 100_000) controller.abort();
    };
    await expect(run({ signal: controller.signal, onProgress })).rejects.toThrow(AbortError);
    expect(await trusted()).not.toContain(blobName(patternBytes(300_000)));
    await run();
    expect(hub.cdn.requests.at(-1)?.headers.range).toBe('bytes=100000-');
    await expect(run({ signal: AbortSignal.abort() })).rejects.toThrow(AbortError);
  });

  async function cutting(faults: readonly ReturnType<NonNullable<LoopbackHubOptions['file']>>[]) {
    const made = await pullScene({
      file: ({ path, attempt }) => (path === 'model.safetensors' ? faults[attempt - 1] : undefined),
    });
    return { ...made, folder: join(made.repoFolder, 'snapshots', hubCommit) };
  }
});
