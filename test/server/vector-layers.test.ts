/** What the server says of its vectors layer by layer, and how it hands them out. */
import { readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { PersonaVector } from '../../src/persona/vector.ts';
import { PersonaClient } from '../../src/server/client.ts';
import { addKey, ApiKeys } from '../../src/server/keys.ts';
import { startServer } from '../../src/server/start.ts';
import type { ServerSettings } from '../../src/server/settings.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { modelless, token } from '../helpers/test-server.ts';
import { vectorOf } from '../helpers/vectors.ts';

interface Scene {
  readonly folder: string;
  readonly url: string;
  readonly client: PersonaClient;
}

async function serve(change: Partial<ServerSettings> = {}, apiKey?: string): Promise<Scene> {
  const folder = await temporaryFolder();
  await vectorOf(
    'a',
    [
      [0, 0],
      [3, 4],
      [1, 0],
    ],
    { residualNorms: [1, 2, 4], recommendedLayer: 2 },
  ).save(join(folder, 'a.safetensors'));
  await vectorOf('b', [
    [0, 0],
    [4, 3],
    [0, 2],
  ]).save(join(folder, 'b.safetensors'));
  const settings = { ...modelless, vectors: folder, ...change };
  const server = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
  onTestFinished(() => server.close(1000));
  const url = `http://127.0.0.1:${server.port}`;
  return { folder, url, client: new PersonaClient({ url, token, ...(apiKey !== undefined && { apiKey }) }) };
}

it('norms by layer stand beside those of the activations', async () => {
  const { client, folder } = await serve();
  expect(await client.vectorLayers('a')).toEqual({
    name: 'a',
    norms: [0, 5, 1],
    residual_norms: [1, 2, 4],
    usable_layers: [1, 2],
    poolings: ['response_mean'],
    method: 'difference_of_means',
    model_revision: null,
    pairs_kept: 1,
    pairs_total: 1,
    threshold: 50,
    source: null,
    deletable: true,
  });
  await mkdir(join(folder, 'run'));
  await writeFile(join(folder, 'run', 'vector.safetensors'), readFileSync(join(folder, 'b.safetensors')));
  expect(await client.vectorLayers('run')).toMatchObject({ residual_norms: null, deletable: false });
  await expect(client.vectorLayers('none')).rejects.toMatchObject({ status: 404, code: 'unknown_vector' });
});

it('cosines are of vectors of one shape, at the layer that is asked for or recommended', async () => {
  const { client, folder } = await serve();
  const both = { layers: 2, width: 2, names: ['a', 'b'] };
  expect(await client.vectorCosines()).toEqual({
    layer: 2,
    layers: 2,
    groups: [
      {
        ...both,
        cosines: [
          [1, 0],
          [0, 1],
        ],
      },
    ],
    left_out: [],
  });
  const [group] = (await client.vectorCosines({ layer: 1 })).groups;
  expect(group!.cosines[0]![1]).toBeCloseTo(24 / 25, 12);
  expect((await client.vectorCosines({ layer: 0 })).groups[0]!.cosines).toEqual([
    [null, null],
    [null, null],
  ]);
  await vectorOf('wide', [
    [1, 2, 3],
    [1, 2, 3],
  ]).save(join(folder, 'wide.safetensors'));
  const mixed = await client.vectorCosines({ layer: 1 });
  expect(mixed.groups.map(({ names }) => names)).toEqual([['a', 'b'], ['wide']]);
  expect((await client.vectorCosines({ layer: 2 })).left_out).toEqual(['wide']);
  await expect(client.vectorCosines({ layer: 3 })).rejects.toThrow('expected a layer from 0 to 2, got 3');
});

it('cosines read every vector once, and pass over one that cannot be read', async () => {
  const { client, folder } = await serve();
  await vectorOf('c', [
    [0, 0],
    [1, 1],
    [Number.NaN, 1],
  ]).save(join(folder, 'c.safetensors'));
  await writeFile(join(folder, 'd.safetensors'), 'no vector');
  const load = vi.spyOn(PersonaVector, 'load');
  onTestFinished(() => load.mockRestore());
  const { groups } = await client.vectorCosines();
  expect(groups.map(({ names }) => names)).toEqual([['a', 'b']]);
  expect(load.mock.calls.map(([path]) => basename(path))).toEqual([
    'a.safetensors',
    'b.safetensors',
    'c.safetensors',
  ]);
});

it('cosines of no vectors are none', async () => {
  const { client } = await serve({ vectors: join(await temporaryFolder(), 'absent') });
  expect(await client.vectorCosines()).toMatchObject({ groups: [], left_out: [] });
});

it('a file comes as it is, and nothing that a link leads to', async () => {
  const { client, folder, url } = await serve();
  const bytes = readFileSync(join(folder, 'a.safetensors'));
  expect(Buffer.from(await (await client.vectorFile('a')).arrayBuffer()).equals(bytes)).toBe(true);
  const { headers } = await fetch(`${url}/persona/vectors/a/file`);
  expect(headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''a.safetensors");
  const outside = await temporaryFolder();
  await writeFile(join(outside, 'vector.safetensors'), bytes);
  await symlink(outside, join(folder, 'link'));
  for (const name of ['link', '../a', '..%2f..%2fetc%2fpasswd', 'none'])
    expect([name, (await fetch(`${url}/persona/vectors/${encodeURIComponent(name)}/file`)).status]).toEqual([
      name,
      404,
    ]);
});

it('a file is not for who has an API key alone', async () => {
  const file = join(await temporaryFolder(), 'keys.json');
  const apiKey = await addKey(file, 'ann');
  const { client, url } = await serve({ keys: await ApiKeys.read(file) }, apiKey);
  const guest = new PersonaClient({ url, apiKey });
  expect((await guest.vectorLayers('a')).norms).toEqual([0, 5, 1]);
  await expect(guest.vectorFile('a')).rejects.toMatchObject({ status: 401, code: 'invalid_token' });
  expect((await client.vectorFile('a')).size).toBeGreaterThan(0);
});
