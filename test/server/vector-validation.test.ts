/** What the server says of what its vectors were measured to do. */
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { PersonaClient } from '../../src/server/client.ts';
import { startServer } from '../../src/server/start.ts';
import { smallSweep } from '../helpers/sweeps.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { modelless, token } from '../helpers/test-server.ts';
import { vectorOf } from '../helpers/vectors.ts';

const vector = vectorOf('evil', [
  [0, 0],
  [3, 4],
  [1, 0],
]);

/** A server with the run `run` and the vector `alone`, neither of them measured. */
async function serve(): Promise<{ readonly folder: string; readonly client: PersonaClient }> {
  const folder = join(await temporaryFolder(), 'vectors');
  await mkdir(join(folder, 'run'), { recursive: true });
  await vector.save(join(folder, 'run', 'vector.safetensors'));
  await vector.save(join(folder, 'alone.safetensors'));
  const settings = { ...modelless, vectors: folder };
  const server = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
  onTestFinished(() => server.close(1000));
  return { folder, client: new PersonaClient({ url: `http://127.0.0.1:${server.port}`, token }) };
}

const text = JSON.stringify(smallSweep);
const measure = (folder: string, ...path: string[]): Promise<void> => writeFile(join(folder, ...path), text);

it('a run has its own sweep and those of its validations', async () => {
  const { folder, client } = await serve();
  expect(await client.vectorValidation('run')).toEqual({ name: 'run', validations: [] });
  await measure(folder, 'run', 'sweep.json');
  await mkdir(join(folder, 'run', 'validation', 'boundary'), { recursive: true });
  await measure(folder, 'run', 'validation', 'boundary', 'sweep.json');
  const { validations } = await client.vectorValidation('run');
  expect(validations.map(({ file, pooling }) => [file, pooling])).toEqual([
    ['sweep.json', 'response_mean'],
    ['validation/boundary/sweep.json', 'boundary_mean'],
  ]);
  expect(validations[0]).toMatchObject({
    positions: 'boundary',
    unit: 'fraction',
    coherence_floor: 75,
    unsteered: { score: 5, coherence: 95 },
    chosen: { layer: 2, strength: 1 },
  });
  expect(validations[0]!.cells).toHaveLength(5);
  expect(validations[0]!.cells[3]).toEqual({
    layer: 2,
    strength: 1,
    coef: 2,
    score: 72,
    lower: 68,
    upper: 76,
    coherence: 84,
    coherence_lower: 81,
    coherence_upper: 87,
    rollouts: 20,
    unscored: 0,
  });
  expect(validations[0]!.random[0]).toMatchObject({ layer: 1, strength: -1, score: 6, coherence: 70 });
  await expect(client.vectorValidation('none')).rejects.toMatchObject({
    status: 404,
    code: 'unknown_vector',
  });
});

it('a file has the sweep beside it, as long as it is that file', async () => {
  const { folder, client } = await serve();
  const files = async (): Promise<string[]> =>
    (await client.vectorValidation('alone')).validations.map(({ file }) => file);
  await measure(folder, 'alone.sweep.json');
  expect(await files()).toEqual(['alone.sweep.json']);
  expect((await client.vectors()).map(({ name }) => name)).toEqual(['alone', 'run']);
  await client.putVector('alone', new Uint8Array(await (await client.vectorFile('run')).arrayBuffer()));
  expect(await files()).toEqual([]);
  await measure(folder, 'alone.sweep.json');
  await client.deleteVector('alone');
  await vector.save(join(folder, 'alone.safetensors'));
  expect(await files()).toEqual([]);
});

it('what is no sweep is refused with its reason, and what lies elsewhere is not read', async () => {
  const { folder, client } = await serve();
  const file = join(folder, 'run', 'sweep.json');
  const refusal = async (content: string): Promise<Error> => {
    await writeFile(file, content);
    return client.vectorValidation('run').then(
      () => new Error('nothing was refused'),
      (error: unknown) => error as Error,
    );
  };
  const unreadable = { status: 409, code: 'unreadable_validation' };
  for (const [content, reason] of [
    ['{"layers": [1', /run\/sweep\.json.*JSON/],
    ['{}', /expected a sweep in "run\/sweep\.json", got something else: in "positions"/],
    [text.replace('"score":72', '"score":"72"'), /in "trait\.3\.score"/],
    [text.padEnd(4 * 1024 * 1024 + 1), /run\/sweep\.json.*4194304/],
  ] as const) {
    const error = await refusal(content);
    expect(error).toMatchObject(unreadable);
    expect(error.message).toMatch(reason);
    expect(error.message).not.toContain(folder);
  }
  // The same file behind a link, and in a folder behind one.
  const elsewhere = join(folder, '..', 'elsewhere');
  await mkdir(elsewhere);
  await writeFile(file, text);
  await rename(file, join(elsewhere, 'sweep.json'));
  await symlink(join(elsewhere, 'sweep.json'), file);
  await mkdir(join(folder, 'run', 'validation'));
  await symlink(elsewhere, join(folder, 'run', 'validation', 'response'));
  expect((await client.vectorValidation('run')).validations).toEqual([]);
});
