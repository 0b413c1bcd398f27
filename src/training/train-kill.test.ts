import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { tinyShape, writeTinyModel } from '../../test/helpers/tiny-models.ts';
import { randomStream } from '../util/random.ts';

const script = fileURLToPath(new URL('../../test/helpers/train-child.ts', import.meta.url));

/** Starts the child; kills it so many milliseconds after it began to work, if it still does. */
async function runChild(config: string, killAfter: number | null): Promise<'finished' | 'killed'> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, config, String(tinyShape.vocabSize)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const failed: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => failed.push(chunk.toString()));
  const ended = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), ended]);
  if (killAfter !== null) {
    await Promise.race([sleep(killAfter), ended]);
    child.kill('SIGKILL');
  }
  const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the child failed: ${failed.join('')}`);
  return signal === null ? 'finished' : 'killed';
}

/** What a finished run left, but for the time that it took. */
async function leftBy(folder: string): Promise<object> {
  const text = await readFile(join(folder, 'train_log.jsonl'), 'utf8');
  const steps = text
    .trimEnd()
    .split('\n')
    .map((line) => ({ ...(JSON.parse(line) as object), seconds: null }));
  const weights = await readFile(join(folder, 'model.safetensors'), 'base64');
  return { steps, weights };
}

it('a training that is killed again and again ends in the same log and the same weights', async () => {
  const folder = await temporaryFolder();
  const model = await writeTinyModel();
  const random = randomStream('killed training');
  const rows = Array.from({ length: 40 }, () => ({
    ids: Array.from({ length: 9 }, () => Math.floor(53 * random.uniform())),
    response_start: 3,
  }));
  await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const configOf = async (name: string): Promise<string> => {
    const file = join(folder, `${name}.json`);
    const config = {
      model,
      training_file: join(folder, 'rows.jsonl'),
      output_dir: join(folder, name),
      max_steps: 120,
      gradient_accumulation_steps: 2,
      learning_rate: 0.01,
      save_steps: 9,
    };
    await writeFile(file, JSON.stringify(config));
    return file;
  };
  try {
    expect(await runChild(await configOf('straight'), null)).toBe('finished');
    const config = await configOf('killed');
    const ends: string[] = [];
    // Every start costs a second or so.
    for (let kill = 0; kill < 5; kill++) ends.push(await runChild(config, 80 + 250 * random.uniform()));
    expect(ends[0]).toBe('killed');
    await runChild(config, null);
    expect(await leftBy(join(folder, 'killed'))).toEqual(await leftBy(join(folder, 'straight')));
  } finally {
    await rm(model, { recursive: true, force: true });
  }
}, 120_000);
