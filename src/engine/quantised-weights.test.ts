import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledCli } from '../../test/helpers/build.ts';
import { nodeFlags, type ProcessResult, runProcess } from '../../test/helpers/cli.ts';
import { projectRoot } from '../../test/helpers/source.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { writeTinyModel } from '../../test/helpers/tiny-models.ts';
import { AbortError, ModelError } from '../errors.ts';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.ts';
import { readWeight } from '../model/read-weights.ts';
import { readSafetensorsHeader } from '../model/safetensors.ts';
import { projections } from '../model/weights.ts';
import type { ModelWeights, WeightSource } from '../model/weights.ts';
import { sha256 } from '../util/hash.ts';
import { type BlockFormat, dequantiseRows, quantiseRows } from './quantise.ts';
import { isQuantised, prepareWeights, type QuantiseOptions } from './quantised-weights.ts';
import type { QuantisedOrPlainSource, QuantisedSource, WeightLocation } from './quantised-weights.ts';

const int8: BlockFormat = { bits: 8, blockSize: 32 };
const int4: BlockFormat = { bits: 4, blockSize: 128 };
const stories = join(projectRoot, 'models/stories260K');

async function readLocation({ file, offset, byteLength }: WeightLocation): Promise<Uint8Array> {
  return Uint8Array.from((await readFile(file)).subarray(offset, offset + byteLength));
}

async function readQuantised({
  q,
  scales,
}: QuantisedSource): Promise<{ q: Uint8Array; scales: Float32Array }> {
  return { q: await readLocation(q), scales: new Float32Array((await readLocation(scales)).buffer) };
}

function quantisedOf(weights: ModelWeights<QuantisedOrPlainSource>): QuantisedSource[] {
  const sources = weights.blocks.flatMap((block) =>
    projections.map((name) => block.projections[name].weight),
  );
  return [...sources, weights.head].filter(isQuantised);
}

async function weightsFile(root: string): Promise<string> {
  const [folder, ...others] = await readdir(join(root, 'weights'));
  expect(others).toEqual([]);
  return join(root, 'weights', folder!, 'weights.safetensors');
}

describe.each([
  ['tied F32', int8, {}, 'F32'],
  [
    'untied BF16 with biases',
    int4,
    { family: 'llama', tied: false, attentionBias: true, mlpBias: true },
    'BF16',
  ],
  ['tied F16 with head norms', int8, { family: 'qwen3' }, 'F16'],
] as const)('prepareWeights of a %s model', (_, recipe, shape, dtype) => {
  it('quantises every product and leaves the rest', async () => {
    const folder = await writeTinyModel({ shape, dtype, shardBytes: 8000 });
    try {
      const checkpoint = await loadCheckpoint(folder);
      const weights = await prepareWeights(checkpoint, recipe, {
        cacheFolder: await temporaryFolder(),
      });
      const plain = checkpoint.weights;
      const sources = quantisedOf(weights);
      const originals = plain.blocks.flatMap((block) =>
        projections.map((name) => block.projections[name].weight),
      );
      originals.push(plain.head);
      expect(sources.map(({ name }) => name)).toEqual(originals.map(({ name }) => name));
      for (const [i, source] of sources.entries()) {
        const original = originals[i]!;
        const numbers = await readWeight(original);
        const expected = quantiseRows(numbers, original.shape[1]!, recipe, { name: '', firstRow: 0 });
        expect(source).toMatchObject({ kind: 'quantised', ...recipe, shape: original.shape });
        expect(await readQuantised(source)).toEqual(expected);
      }
      const file = sources[0]!.q.file;
      const header = await readSafetensorsHeader(file);
      expect(header.tensors.size).toBe(2 * sources.length + Number(dtype === 'F32'));
      expect(weights.finalNorm).toBe(plain.finalNorm);
      for (const [i, block] of weights.blocks.entries()) {
        const original = plain.blocks[i]!;
        expect({ ...block, projections: null }).toEqual({ ...original, projections: null });
        for (const name of projections) {
          expect(block.projections[name].bias).toBe(original.projections[name].bias);
        }
      }
      const embedding = dtype === 'F32' ? { ...plain.embedding, dtype: 'F16' } : plain.embedding;
      const offset = header.tensors.get(plain.embedding.name)?.offset;
      const place = dtype === 'F32' ? { file, offset, byteLength: 2 * 53 * 24 } : {};
      expect(weights.embedding).toEqual({ ...embedding, ...place });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('prepareWeights', () => {
  let checkpoint: Checkpoint;
  beforeAll(async () => {
    checkpoint = await loadCheckpoint(stories);
  });

  it('keeps models/stories260K near its weights', async () => {
    for (const [recipe, bound] of [
      [int8, 0.01],
      [int4, 0.12],
    ] as const) {
      const weights = await prepareWeights(checkpoint, recipe, {
        cacheFolder: await temporaryFolder(),
      });
      const original = checkpoint.weights.blocks[2]!.projections.down_proj.weight;
      const source = weights.blocks[2]!.projections.down_proj.weight as QuantisedSource;
      const numbers = await readWeight(original);
      const back = dequantiseRows(await readQuantised(source), original.shape[1]!, recipe);
      const norm = (values: Float32Array): number => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
      expect(norm(back.map((x, i) => x - numbers[i]!)) / norm(numbers)).toBeLessThan(bound);
    }
  });

  it('keeps an F32 embedding as the nearest halves', async () => {
    const weights = await prepareWeights(checkpoint, int8, { cacheFolder: await temporaryFolder() });
    const [halves, numbers] = await Promise.all([
      readWeight(weights.embedding as WeightSource),
      readWeight(checkpoint.weights.embedding),
    ]);
    expect(numbers.length).toBe(512 * 64);
    const errors = halves.map(
      (half, i) => Math.abs(half - numbers[i]!) / Math.max(2 ** -14, Math.abs(numbers[i]!)),
    );
    expect(Math.max(...errors)).toBeLessThanOrEqual(2 ** -11);
  });

  it('says what it does: once, how far, and when the cache is damaged', async () => {
    const root = await temporaryFolder();
    const notices: string[] = [];
    const progress: (readonly [number, number])[] = [];
    const options: QuantiseOptions = {
      cacheFolder: root,
      threads: 2,
      onNotice: (message) => notices.push(message),
      onProgress: (done, total) => progress.push([done, total]),
    };
    const first = await prepareWeights(checkpoint, int8, options);
    expect(notices).toEqual([
      expect.stringMatching(/^Writing the int8-block32 weights of stories260K once, \d+ kB in "/),
    ]);
    const total = progress.at(-1)![1];
    expect(progress.at(-1)).toEqual([total, total]);
    expect(await prepareWeights(checkpoint, int8, options)).toEqual(first);
    expect(notices).toHaveLength(1);
    const file = await weightsFile(root);
    const bytes = await readFile(file);
    const damaged = Uint8Array.from(bytes);
    damaged[(first.head as QuantisedSource).q.offset + 1000]! ^= 1;
    await writeFile(file, damaged);
    expect(await prepareWeights(checkpoint, int8, options)).toEqual(first);
    expect(notices[1]).toMatch(/are built again: piece \d+ of \d+ of their file is damaged\.$/);
    expect(sha256(await readFile(file))).toBe(sha256(bytes));
  });

  it('keeps recipes and trainings of one name apart', async () => {
    const root = await temporaryFolder();
    const copy = join(await temporaryFolder(), 'stories260K');
    await cp(stories, copy, { recursive: true });
    const file = join(copy, 'model.safetensors');
    const bytes = await readFile(file);
    bytes[bytes.length - 10]! ^= 1;
    await writeFile(file, bytes);
    const other = await loadCheckpoint(copy);
    const files = [
      await prepareWeights(checkpoint, int8, { cacheFolder: root }),
      await prepareWeights(checkpoint, int4, { cacheFolder: root }),
      await prepareWeights(other, int8, { cacheFolder: root }),
    ].map(({ head }) => (head as QuantisedSource).q.file);
    expect(new Set(files).size).toBe(3);
    for (const name of files) expect(name).toMatch(/\/weights\/stories260K-[0-9a-f]{16}-int[48]-block\d+\//);
  });

  it.each([
    ['model.layers.1.mlp.up_proj.weight', Infinity, 'Expected finite weights in tensor'],
    ['model.embed_tokens.weight', 70_000, 'Expected weights within ±65504 in tensor'],
  ])('refuses %s with %d in it, and leaves nothing', async (name, value, message) => {
    const folder = await writeTinyModel();
    const root = await temporaryFolder();
    try {
      const file = join(folder, 'model.safetensors');
      const { offset } = (await readSafetensorsHeader(file)).tensors.get(name)!;
      const bytes = await readFile(file);
      bytes.writeFloatLE(value, offset + 4);
      await writeFile(file, bytes);
      const attempt = prepareWeights(await loadCheckpoint(folder), int8, { cacheFolder: root });
      await expect(attempt).rejects.toThrow(ModelError);
      await expect(attempt).rejects.toThrow(`${message} "${name}"`);
      expect(await readdir(dirname(await weightsFile(root)))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('stops when told to, leaving nothing', async () => {
    const root = await temporaryFolder();
    const stop = new AbortController();
    const attempt = prepareWeights(checkpoint, int8, {
      cacheFolder: root,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(attempt).rejects.toThrow(AbortError);
    expect(await readdir(dirname(await weightsFile(root)))).toEqual([]);
  });
});

/** Quantises its first argument into its second; prints how many slices workers did, and kills itself after the third. */
const script = (loader: string, checkpointModule: string): string => `
  let byWorkers = 0, slices = 0;
  process.on('worker', (worker) => worker.on('message', (answer) => { if (answer !== null) byWorkers++; }));
  const { prepareWeights } = await import(${JSON.stringify(loader)});
  const { loadCheckpoint } = await import(${JSON.stringify(checkpointModule)});
  const [model, cacheFolder, killAt] = process.argv.slice(2);
  await prepareWeights(await loadCheckpoint(model), { bits: 8, blockSize: 32 }, {
    cacheFolder,
    threads: 2,
    onProgress: () => { if (++slices === Number(killAt)) process.kill(process.pid, 'SIGKILL'); },
  });
  process.stdout.write(byWorkers + ' of ' + slices);
`;

describe('worker threads', () => {
  let model = '';
  let expected = '';
  /** Three times the weights from which on threads are started. */
  beforeAll(async () => {
    model = await writeTinyModel({
      shape: { width: 512, mlpWidth: 1536, vocabSize: 999, layers: 2 },
      dtype: 'BF16',
    });
    const root = await mkdtemp(join(tmpdir(), 'quantised-'));
    await prepareWeights(await loadCheckpoint(model), int8, { cacheFolder: root, threads: 2 });
    expected = sha256(await readFile(await weightsFile(root)));
    await rm(root, { recursive: true });
  });
  afterAll(() => rm(model, { recursive: true }));

  const source = (path: string): string => join(projectRoot, 'src', `${path}.ts`);
  const compiled = (path: string): string => join(dirname(compiledCli()), '..', `${path}.js`);
  const run = async (
    file: (path: string) => string,
    flags: readonly string[],
    root: string,
    killAt = 0,
  ): Promise<ProcessResult> => {
    const path = join(await temporaryFolder(), 'script.mjs');
    await writeFile(path, script(file('engine/quantised-weights'), file('model/checkpoint')));
    return runProcess(process.execPath, [...flags, path, model, root, String(killAt)]);
  };

  // A thread of Node 20 cannot load TypeScript: there, and in this process, the slices are done in the calling thread.
  it('give the same bytes from the compiled package, and from its source with or without them', async () => {
    for (const [file, flags, byWorkers] of [
      [compiled, [], '15'],
      [source, nodeFlags, '(0|15)'],
    ] as const) {
      const root = await temporaryFolder();
      const { stdout, stderr } = await run(file, flags, root);
      expect(stderr).toBe('');
      expect(stdout).toMatch(new RegExp(`^${byWorkers} of 15$`));
      expect(sha256(await readFile(await weightsFile(root)))).toBe(expected);
    }
  });

  it('build once where two processes start together', async () => {
    const root = await temporaryFolder();
    const results = await Promise.all([run(compiled, [], root), run(compiled, [], root)]);
    expect(results.map(({ stdout }) => stdout).sort()).toEqual(['0 of 0', '15 of 15']);
    expect(sha256(await readFile(await weightsFile(root)))).toBe(expected);
  });

  it.each([1, 8, 15])('may be killed after slice %d: the next process builds anew', async (killAt) => {
    const root = await temporaryFolder();
    expect((await run(compiled, [], root, killAt)).code).toBeNull();
    const file = await weightsFile(root);
    const left = await readdir(dirname(file));
    expect(left).toContain('lock');
    expect(left.filter((name) => /^\.weights\.safetensors\..*\.tmp$/.test(name))).toHaveLength(1);
    const notices: string[] = [];
    const onNotice = (message: string): void => void notices.push(message);
    await prepareWeights(await loadCheckpoint(model), int8, { cacheFolder: root, onNotice });
    expect(notices).toEqual([
      expect.stringContaining('are built again: a process ended while it wrote them.'),
    ]);
    expect(sha256(await readFile(file))).toBe(expected);
    expect((await readdir(dirname(file))).sort()).toEqual([
      'manifest.json',
      'verified.json',
      'weights.safetensors',
    ]);
  });
});
