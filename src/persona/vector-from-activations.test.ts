import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { writePtTensor } from '../model/pt-writer.ts';
import { writeSafetensors } from '../model/safetensors-writer.ts';
import { randomStream } from '../util/random.ts';
import { differenceOfMeans } from './extract-vector.ts';
import { vectorFromActivations } from './vector-from-activations.ts';

const WIDTH = 6;
const LAYERS = 3;

/** `[rows, layers, WIDTH]`, other numbers for every name. */
function numbers(rows: number, layers: number, name: string): Float32Array {
  const random = randomStream(name);
  return Float32Array.from({ length: rows * layers * WIDTH }, () => 2 * random.uniform() - 1);
}

async function write(
  path: string,
  tensors: Readonly<Record<string, readonly [readonly number[], Float32Array]>>,
) {
  await writeSafetensors(
    path,
    Object.entries(tensors).map(([name, [shape, data]]) => ({ name, shape, data })),
    {},
  );
}

/** By the code of an extraction, of whole rows. */
async function expectedOf(pos: Float32Array, neg: Float32Array, size: number): Promise<Float32Array> {
  const rows = [pos, neg].flatMap((all) =>
    Array.from({ length: all.length / size }, (_, i) => all.subarray(i * size, (i + 1) * size)),
  );
  const count = pos.length / size;
  const kept = {
    pos: [...rows.keys()].filter((i) => i < count),
    neg: [...rows.keys()].filter((i) => i >= count),
  };
  return (await differenceOfMeans(kept, ['x'], (_, i) => Promise.resolve(rows[i]!))).get('x')!;
}

const trait = 'evil';

describe('vectorFromActivations', () => {
  it('takes hidden states of both poles from safetensors or .pt, to the same bits', async () => {
    const folder = await temporaryFolder();
    const [pos, neg] = [numbers(5, LAYERS + 1, 'pos'), numbers(4, LAYERS + 1, 'neg')];
    const paths = { pos: join(folder, 'p'), neg: join(folder, 'n') };
    await write(paths.pos, { hidden: [[5, LAYERS + 1, WIDTH], pos] });
    await writePtTensor(paths.neg, { shape: [4, LAYERS + 1, WIDTH], data: neg }, 'n');
    const vector = await vectorFromActivations(paths, { layout: 'hidden-states', trait });
    expect(vector.data).toEqual(await expectedOf(pos, neg, (LAYERS + 1) * WIDTH));
    expect(vector.layers).toBe(LAYERS);
    // The last one is after the final norm, so nothing can be added there.
    expect(vector.usableLayers).toEqual([1, 2]);
    const squares = [...pos, ...neg].map((x) => x * x);
    const norms = Array.from({ length: 9 }, (_, row) => {
      const from = (row * (LAYERS + 1) + 2) * WIDTH;
      return Math.sqrt(squares.slice(from, from + WIDTH).reduce((a, b) => a + b, 0));
    });
    expect(vector.metadata.residualNorms![2]).toBeCloseTo(norms.reduce((a, b) => a + b, 0) / 9, 10);
    expect(vector.metadata).toMatchObject({ method: 'difference_of_means', pooling: 'unknown', trait });
  });

  it('counts outputs of blocks from layer 1, a tensor a row too', async () => {
    const folder = await temporaryFolder();
    const [pos, neg] = [numbers(2, LAYERS, 'pos'), numbers(3, LAYERS, 'neg')];
    const paths = { pos: join(folder, 'p'), neg: join(folder, 'n') };
    const size = LAYERS * WIDTH;
    await write(paths.pos, {
      a: [[LAYERS, WIDTH], pos.slice(0, size)],
      b: [[LAYERS, WIDTH], pos.slice(size)],
    });
    await write(paths.neg, { hidden: [[3, LAYERS, WIDTH], neg] });
    const vector = await vectorFromActivations(paths, { layout: 'blocks', trait });
    expect(vector.layers).toBe(LAYERS);
    expect(vector.data.subarray(WIDTH)).toEqual(await expectedOf(pos, neg, size));
    expect(vector.metadata.absentLayers).toEqual([0]);
    expect(vector.usableLayers).toEqual([1, 2, 3]);
  });

  it('takes the rows of one layer, by labels in the file or beside it', async () => {
    const folder = await temporaryFolder();
    const all = numbers(5, 1, 'all');
    const path = join(folder, 'rows.safetensors');
    const labels = [1, 0, 0, 1, 0];
    await write(path, { resid: [[5, WIDTH], all], labels: [[5], Float32Array.from(labels)] });
    const options = { at: [2], layers: LAYERS, trait };
    const own = await vectorFromActivations({ rows: path }, options);
    const pick = (label: number): Float32Array => {
      const rows = labels.flatMap((l, i) =>
        l === label ? [...all.subarray(i * WIDTH, (i + 1) * WIDTH)] : [],
      );
      return Float32Array.from(rows);
    };
    expect(own.row(2)).toEqual(await expectedOf(pick(1), pick(0), WIDTH));
    expect(own.usableLayers).toEqual([2]);
    const given = await vectorFromActivations({ rows: path, labels: labels.map((l) => 1 - l) }, options);
    expect(
      own
        .add(given)
        .row(2)
        .every((x) => Math.abs(x) < 1e-6),
    ).toBe(true);
  });

  it.each<[string, Parameters<typeof vectorFromActivations>[1], string]>([
    ['a count of layers that nobody gives', { trait }, 'give --from hidden-states'],
    ['fewer layers than the file has', { trait, at: [1, 2], layers: 3 }, 'one for each entry'],
    ['layers of a model without a number of them', { trait, at: [0, 1, 2, 3] }, 'give --layers'],
    ['another number of layers', { trait, layout: 'blocks', layers: 9 }, 'got 4 as blocks counts them'],
    ['a tensor that is not there', { trait, layout: 'blocks', tensor: 'q' }, 'Expected a tensor "q"'],
  ])('refuses %s', async (_, options, problem) => {
    const folder = await temporaryFolder();
    const path = join(folder, 'x.safetensors');
    await write(path, { hidden: [[2, 4, WIDTH], numbers(2, 4, 'x')] });
    await expect(vectorFromActivations({ pos: path, neg: path }, options)).rejects.toThrow(problem);
  });

  it('refuses labels that do not fit, and files that are none', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'x.safetensors');
    const text = join(folder, 'text');
    await write(path, { hidden: [[2, 4, WIDTH], numbers(2, 4, 'x')] });
    await writeFile(text, 'no tensor at all, but longer than a header');
    const run = (labels: number[] | undefined) =>
      vectorFromActivations({ rows: path, labels }, { trait, layout: 'blocks' });
    await expect(run(undefined)).rejects.toThrow('neither labels nor a tensor "labels"');
    await expect(run([1])).rejects.toThrow('a label for each of the 2 rows');
    await expect(run([1, 2])).rejects.toThrow('got 2 for row 2');
    await expect(run([1, 1])).rejects.toThrow('got none with 0');
    const source = { pos: text, neg: path };
    await expect(vectorFromActivations(source, { trait, layout: 'blocks' })).rejects.toThrow(text);
  });
});
