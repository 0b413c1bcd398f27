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
async function runChild(args: readonly string[], killAfter: number | null): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
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

/** What is compared of a run folder. */
interface Ended {
  readonly folder: string;
  readonly files: Record<string, Artifact>;
  readonly artifacts: Manifest['artifacts'];
}

async function readEnded(folder: string): Promise<Ended> {
  return { folder, files: await hashes(folder), artifacts: (await manifestOf(folder)).artifacts };
}

/** Runs once undisturbed, and once killed so many times at random moments before it may end. */
async function runBoth(
  folder: string,
  name: string,
  kills: number,
  rollouts: readonly string[],
): Promise<{ straight: Ended; killed: Ended; first: string }> {
  const [model, straight, killed] = ['model', `${name}-straight`, name].map((part) => join(folder, part));
  await runChild([model!, straight!, ...rollouts], null);
  const moments = randomStream('kill', name);
  const said: string[] = [];
  for (let kill = 0; kill < kills; kill++)
    said.push(await runChild([model!, killed!, ...rollouts], 10 + 160 * moments.uniform()));
  await runChild([model!, killed!, ...rollouts], null);
  return { straight: await readEnded(straight!), killed: await readEnded(killed!), first: said[0]! };
}

describe('a run that is killed again and again', () => {
  it('ends in the files of one that is not, byte for byte, whether it samples its rollouts or is given them', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'model'));
    // Every start costs a second or so; a few kills reach into different steps.
    const sampled = await runBoth(folder, 'sampled', 4, []);
    const given = await runBoth(folder, 'given', 2, [join(sampled.straight.folder, 'rollouts.jsonl')]);
    for (const { straight, killed, first } of [sampled, given]) {
      expect(first).toMatch(/killed$/);
      expect(killed.files).toEqual(straight.files);
      expect(killed.artifacts).toEqual(straight.artifacts);
    }
  }, 180_000);
});
