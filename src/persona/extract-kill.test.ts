import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { type Artifact, type Manifest, describeArtifact, manifestSchema } from '../store/manifest.ts';
import { randomStream } from '../util/random.ts';

const script = fileURLToPath(new URL('../../test/helpers/extract-child.ts', import.meta.url));

/** Starts the child; kills it so many milliseconds after it began to work, if it still does. Gives what it said. */
async function runChild(model: string, out: string, killAfter: number | null): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, model, out], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said: string[] = [];
  const failed: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => failed.push(chunk.toString()));
  const ended = once(child, 'exit');
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said.push(chunk.toString());
      resolve();
    });
    child.once('exit', () => resolve());
  });
  if (killAfter !== null) {
    await Promise.race([sleep(killAfter), ended]);
    child.kill('SIGKILL');
  }
  const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the child failed: ${failed.join('')}`);
  return `${said.join('')}${signal === null ? 'finished' : 'killed'}`;
}

/** SHA-256 of every file but the manifest, which tells how long things took: another time every time. */
async function hashes(folder: string): Promise<Record<string, Artifact>> {
  const names = (await readdir(folder)).filter((name) => name !== 'manifest.json').sort();
  const artifacts = await Promise.all(names.map((name) => describeArtifact(join(folder, name))));
  return Object.fromEntries(names.map((name, i) => [name, artifacts[i]!]));
}

async function manifestOf(folder: string): Promise<Manifest> {
  return manifestSchema.parse(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')));
}

describe('a run that is killed again and again', () => {
  it('ends in the files of one that is not, byte for byte', async () => {
    const folder = await temporaryFolder();
    const [model, straight, killed] = ['model', 'straight', 'killed'].map((name) => join(folder, name));
    await mkdir(model!);
    await runChild(model!, straight!, null);
    const moments = randomStream('kill');
    const ends: string[] = [];
    // Every start costs a second or so; four kills reach into different steps.
    for (let kill = 0; kill < 4; kill++) {
      const said = await runChild(model!, killed!, 20 + 160 * moments.uniform());
      ends.push(said.endsWith('finished') ? 'finished' : 'killed');
    }
    expect(ends[0]).toBe('killed');
    await runChild(model!, killed!, null);
    expect(await hashes(killed!)).toEqual(await hashes(straight!));
    expect((await manifestOf(killed!)).artifacts).toEqual((await manifestOf(straight!)).artifacts);
  }, 180_000);
});
