import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { lockFolder } from './lock.ts';

const ourHost = hostname();

/** Leaves a lock as the process `owner` would have. */
async function leaveLock(folder: string, owner: object | string): Promise<void> {
  await writeFile(join(folder, 'lock'), typeof owner === 'string' ? owner : JSON.stringify(owner));
}

async function endedProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid!;
}

describe('lockFolder', () => {
  it('lets one in at a time', async () => {
    const folder = await temporaryFolder();
    const lock = await lockFolder(folder);
    await expect(lockFolder(folder)).rejects.toThrow(`is in use by process ${process.pid}`);
    await lock.release();
    const next = await lockFolder(folder);
    // A second release of the first holder must not take the lock from the next one.
    await lock.release();
    await expect(lockFolder(folder)).rejects.toThrow('is in use');
    await next.release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('lets exactly one of many in who come at once', async () => {
    const folder = await temporaryFolder();
    for (let round = 0; round < 10; round++) {
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
      const won = tries.filter((one) => one.status === 'fulfilled');
      expect(won).toHaveLength(1);
      await won[0]!.value.release();
    }
  });

  it('takes over the lock of a process that is gone', async () => {
    const folder = await temporaryFolder();
    await leaveLock(folder, { pid: await endedProcess(), host: ourHost, started: '1', token: 'x' });
    await (await lockFolder(folder)).release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('takes over a lock whose number now belongs to this or to another, later process', async () => {
    const folder = await temporaryFolder();
    // The parent lives, but did not start at that time; only Linux tells start times.
    const later = process.platform === 'linux' ? [process.pid, process.ppid] : [process.pid];
    for (const pid of later) {
      await leaveLock(folder, { pid, host: ourHost, started: '1', token: 'x' });
      await (await lockFolder(folder)).release();
    }
    expect(await readdir(folder)).toEqual([]);
  });

  it('takes over a lock that cannot be read', async () => {
    const folder = await temporaryFolder();
    await leaveLock(folder, '{"pid": ');
    await (await lockFolder(folder)).release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('respects a living process and another machine', async () => {
    const folder = await temporaryFolder();
    await leaveLock(folder, { pid: process.ppid, host: ourHost, started: null, token: 'x' });
    await expect(lockFolder(folder)).rejects.toThrow(`process ${process.ppid}; wait for it to end`);
    await leaveLock(folder, { pid: 1, host: 'elsewhere', started: null, token: 'x' });
    await expect(lockFolder(folder)).rejects.toThrow('process 1 on elsewhere');
    expect(JSON.parse(await readFile(join(folder, 'lock'), 'utf8'))).toMatchObject({ host: 'elsewhere' });
  });
});
