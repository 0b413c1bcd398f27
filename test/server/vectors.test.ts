/** Vectors as resources of the server. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeGguf } from '../../src/model/gguf-writer.ts';
import { encodePtTensor } from '../../src/model/pt-writer.ts';
import { PersonaClient } from '../../src/server/client.ts';
import { defaultLimits } from '../../src/server/settings.ts';
import { readVectorFile } from '../../src/store/vector-file.ts';
import { writeControlVector } from '../../src/store/control-vector.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { metric, openTestServer, type TestServer, token } from '../helpers/test-server.ts';

let server: TestServer;
let client: PersonaClient;
let good: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  server = await openTestServer({ limits: { ...defaultLimits, uploadBytes: 40_000, vectors: 4 } });
  client = new PersonaClient({ url: server.url, token });
  good = new Uint8Array(readFileSync(join(server.vectors, 'mood.safetensors')));
});
afterAll(() => server.close());

const files = (): string[] => readdirSync(server.vectors).sort();
const story = { model: 'stories260K', prompt: 'One', max_tokens: 3 };

describe('a vector', () => {
  it('is uploaded, listed, used and deleted with the token', async () => {
    const put = await client.putVector('second', good);
    expect(put).toMatchObject({ name: 'second', trait: 'mood', layers: 5, width: 64, recommended_layer: 3 });
    expect((await client.vectors()).map(({ name }) => name)).toEqual(['mood', 'second']);
    const watch = ['second', 'mood'];
    const used = await client.complete({ ...story, persona: { watch } });
    const { projections } = used.choices[0]!.persona!;
    expect(Object.keys(projections)).toEqual(watch);
    expect(projections['second']).toEqual(projections['mood']);
    await client.deleteVector('second');
    expect(files()).toEqual(['mood.safetensors']);
    await expect(client.deleteVector('second')).rejects.toThrow(/found no vector "second"/);
  });

  it('of the other formats is taken in', async () => {
    const folder = await temporaryFolder();
    const { tensors, layers, width, metadata } = await readVectorFile(
      join(server.vectors, 'mood.safetensors'),
    );
    const data = tensors.get('response_mean')!;
    const pt = encodePtTensor({ shape: [layers + 1, width], data }, 'evil');
    const fromPt = await client.putVector('from-pt', new Uint8Array(pt), { pooling: 'response_mean' });
    expect(fromPt).toMatchObject({
      trait: 'from-pt',
      layers,
      width,
      notes: [expect.stringContaining('final norm')],
    });
    const gguf = join(folder, 'a.gguf');
    await writeControlVector(gguf, { layers, width, tensors, metadata }, 'response_mean');
    const fromGguf = await client.putVector('from-gguf', new Uint8Array(readFileSync(gguf)));
    expect(fromGguf).toMatchObject({ trait: 'mood', layers, width, recommended_layer: 3 });
    const steer = [{ vector: 'from-gguf', coef: 2, layer: 3 }];
    const both = [steer, [{ ...steer[0], vector: 'mood' }]].map((one) =>
      client.complete({ ...story, max_tokens: 20, temperature: 0, persona: { steer: one } }),
    );
    const [a, b] = await Promise.all(both);
    expect(a!.choices[0]!.text).toBe(b!.choices[0]!.text);
    await client.deleteVector('from-pt');
    await client.deleteVector('from-gguf');
  });

  it('replaces one of its name, also while others come', async () => {
    const puts = Array.from({ length: 8 }, (_, i) => client.putVector(`v${i % 2}`, good));
    expect((await Promise.all(puts)).map(({ name }) => name)).toEqual(
      Array.from({ length: 8 }, (_, i) => `v${i % 2}`),
    );
    await client.deleteVector('v0');
    await client.deleteVector('v1');
    expect(files()).toEqual(['mood.safetensors']);
  });

  it('is one of a bounded number', async () => {
    for (const name of ['a', 'b', 'c']) await client.putVector(name, good);
    await expect(client.putVector('d', good)).rejects.toMatchObject({ status: 409 });
    await client.putVector('a', good);
    for (const name of ['a', 'b', 'c']) await client.deleteVector(name);
    expect(files()).toEqual(['mood.safetensors']);
  });

  it('that is a run of `persona extract` is used, and neither replaced nor deleted', async () => {
    await mkdir(join(server.vectors, 'run'));
    await writeFile(join(server.vectors, 'run', 'vector.safetensors'), good);
    expect((await client.vectors()).map(({ name }) => name)).toEqual(['mood', 'run']);
    await expect(client.putVector('run', good)).rejects.toMatchObject({ status: 409 });
    await expect(client.deleteVector('run')).rejects.toMatchObject({ status: 409 });
  });
});

/** An archive whose one entry is packed a thousandfold. */
function zipBomb(): Uint8Array<ArrayBuffer> {
  const name = Buffer.from('a/data.pkl');
  const packed = deflateRawSync(Buffer.alloc(20_000_000));
  const fields = Buffer.alloc(18);
  fields.writeUInt16LE(8, 0);
  fields.writeUInt32LE(packed.length, 10);
  fields.writeUInt32LE(20_000_000, 14);
  const sizes = (lead: number[]): Buffer => Buffer.concat([Buffer.from(lead), fields]);
  const local = Buffer.concat([sizes([0x50, 0x4b, 3, 4, 20, 0, 0, 0]), uint16(name.length, 0), name, packed]);
  const central = Buffer.concat([
    sizes([0x50, 0x4b, 1, 2, 20, 0, 20, 0, 0, 0]),
    uint16(name.length, 0, 0, 0, 0, 0, 0, 0, 0),
    name,
  ]);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return new Uint8Array(Buffer.concat([local, central, end]));
}

function uint16(...values: number[]): Buffer {
  return Buffer.from(Uint16Array.from(values).buffer);
}

/** A safetensors file whose header speaks of more than there is. */
function liar(shape: number[], end: number): Uint8Array<ArrayBuffer> {
  const header = Buffer.from(
    JSON.stringify({ response_mean: { dtype: 'F32', shape, data_offsets: [0, end] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return new Uint8Array(Buffer.concat([length, header, Buffer.alloc(64)]));
}

/** A GGUF file that announces more than there is. */
function largeGguf(): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.alloc(24);
  bytes.write('GGUF');
  bytes.writeUInt32LE(3, 4);
  bytes.writeBigUInt64LE(2n ** 40n, 8);
  return new Uint8Array(bytes);
}

/** One direction, before which four thousand layers are empty. */
function wideGguf(): Uint8Array<ArrayBuffer> {
  const architecture = { type: 'string', value: 'controlvector' } as const;
  const vectors = [{ name: 'direction.4000', data: new Float32Array(1000).fill(1) }];
  return new Uint8Array(encodeGguf(new Map([['general.architecture', architecture]]), vectors));
}

describe('an upload', () => {
  const text = (value: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(value));
  it.each([
    ['nothing', () => text(''), 400, /got no bytes/],
    ['too much', () => new Uint8Array(50_000), 413, /at most 40000 bytes/],
    ['a file that is cut off', () => good.slice(0, good.length - 9), 400, /./],
    ['a file with bytes behind it', () => Uint8Array.from([...good, 1]), 400, /./],
    ['half an archive', () => text('PK\u0003\u0004 not really'), 400, /the upload/],
    ['a zip bomb', zipBomb, 400, /expected "a\/data.pkl" to be stored, got it packed/],
    ['a tensor that is larger than the file', () => liar([1 << 20, 1 << 20], 2 ** 42), 400, /./],
    ['a header of two billion bytes', () => text('\u00ff\u00ff\u00ff\u007f\0\0\0\0'), 400, /./],
    ['a GGUF file of a trillion tensors', largeGguf, 400, /./],
    ['a direction at a high layer', wideGguf, 413, /at most 40000 bytes unpacked/],
    ['not a vector', () => text('{"hello": 1}'), 400, /./],
  ])('of %s is refused, and leaves nothing behind', async (_, bytes, status, sentence) => {
    const before = files();
    const refusal = await client.putVector('a', bytes()).then(
      () => null,
      (error: Error) => error,
    );
    expect(refusal).toMatchObject({ status });
    expect(refusal!.message).toMatch(sentence);
    expect(refusal!.message).not.toContain(server.vectors);
    expect(files()).toEqual(before);
    expect(server.log.filter(({ event }) => event === 'error')).toEqual([]);
  });

  it('that its sender breaks off leaves nothing behind', async () => {
    const before = files();
    const headers = { 'content-type': 'application/octet-stream', 'x-persona-token': token };
    const path = '/persona/vectors/broken';
    const request = httpRequest({ port: server.port, host: '127.0.0.1', method: 'PUT', path, headers });
    request.on('error', () => undefined);
    request.write(good.slice(0, 100));
    await expect.poll(() => files().some((name) => name.startsWith('.upload-'))).toBe(true);
    request.destroy();
    await expect.poll(files).toEqual(before);
  });

  it('that a killed server has left is removed by a later one', async () => {
    const old = join(server.vectors, '.upload-0123.tmp');
    await writeFile(old, 'half');
    await client.putVector('late', good);
    expect(files()).toContain('.upload-0123.tmp');
    await utimes(old, new Date(0), new Date(0));
    await client.putVector('late', good);
    expect(files()).not.toContain('.upload-0123.tmp');
    await client.deleteVector('late');
  });

  it('needs the token', async () => {
    const stranger = new PersonaClient({ url: server.url });
    await expect(stranger.putVector('third', good)).rejects.toMatchObject({ status: 401 });
    const wrong = new PersonaClient({ url: server.url, token: `${token}x` });
    await expect(wrong.putVector('third', good)).rejects.toMatchObject({ status: 401 });
  });
});

describe('no path', () => {
  it.each([
    '../outside',
    '..',
    '.',
    'a/b',
    '..%2foutside',
    '%2e%2e%2foutside',
    '..\\outside',
    '.hidden',
    'a\u0000b',
    '/etc/passwd',
    'mood.safetensors',
    'ä',
    'x'.repeat(65),
    'con:stream',
  ])('reaches a file outside the folder by an upload: %s', async (name) => {
    const before = [files(), readdirSync(join(server.vectors, '..')).includes('outside.safetensors')];
    await expect(client.putVector(name, good)).rejects.toMatchObject({
      status: expect.toBeOneOf([400, 404]),
    });
    expect([files(), readdirSync(join(server.vectors, '..')).includes('outside.safetensors')]).toEqual(
      before,
    );
  });

  it('reaches one by a request, a name with an ending neither', async () => {
    const outside = join(await temporaryFolder(), 'outside.safetensors');
    await writeFile(outside, good);
    await symlink(outside, join(server.vectors, 'link.safetensors'));
    await writeFile(join(server.vectors, 'a.safetensors.safetensors'), good);
    const names = [
      outside,
      outside.replace('.safetensors', ''),
      '../outside',
      'mood.safetensors',
      'link',
      'run/../mood',
    ];
    for (const vector of [...names, 'a.safetensors', join(tmpdir(), 'x')]) {
      const steer = [{ vector, coef: 1 }];
      const fields = [
        { steer },
        { watch: [vector] },
        { steer: [{ vector: 'mood', coef: 1, when: { vector, above: 0 } }] },
      ];
      for (const persona of fields)
        await expect(client.complete({ ...story, persona })).rejects.toMatchObject({
          status: 400,
          code: 'unknown_vector',
        });
      const path = `/persona/vectors/${encodeURIComponent(vector)}`;
      expect((await fetch(`${server.url}${path}`)).status).toBe(404);
    }
    expect(await metric(server, 'persona_replies')).toBe(0);
  });

  it('is taken from a spec that names the folder or a baseline itself', async () => {
    for (const key of ['vectors', 'baseline']) {
      const steer = { interventions: [{ vector: 'mood', coef: 1 }], [key]: '/etc' };
      await expect(client.complete({ ...story, persona: { steer } })).rejects.toThrow(`expected no "${key}"`);
    }
  });
});
