import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { tinyConfig } from '../../../test/helpers/tiny-config.ts';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { writeBaseline } from '../../store/baseline-file.ts';
import { directionHash } from '../../training/directions.ts';
import { distributionOf } from '../projection/baseline.ts';
import { resolveSteering } from './resolve.ts';
import { parseSteering } from './spec.ts';

const checkpoint = {
  id: 'tiny',
  config: tinyConfig({ width: 4, layers: 3 }),
  folder: '/nowhere',
  tokenizer: null,
};
// Row l is l + 1 times its own mixture of two axes.
const evil = vectorOf(
  'evil',
  [
    [0, 0, 0, 0],
    [1, 0, 0, 0],
    [0, 2, 0, 0],
    [0, 2, 3, 0],
  ],
  {
    model: 'tiny',
    recommendedLayer: 2,
    residualNorms: [1, 10, 20, 40],
  },
);

async function folderOf(): Promise<string> {
  const folder = await temporaryFolder();
  await evil.save(join(folder, 'evil.safetensors'));
  return folder;
}

async function resolved(entry: object, more: object = {}) {
  const spec = parseSteering({ interventions: [entry], vectors: await folderOf(), ...more }, 'spec');
  return resolveSteering(spec, checkpoint);
}

describe('resolveSteering', () => {
  it('takes a vector by name at its recommended layer, from the last prompt token on', async () => {
    const { interventions, history } = await resolved({ vector: 'evil', coef: 1.5 });
    expect(interventions).toEqual([{ layer: 2, vector: evil.row(2), positions: 'response', coef: 1.5 }]);
    expect(history).toBe('clean');
  });

  it('means the same by its three units', async () => {
    for (const entry of [{ coef: 3 }, { norm: 6 }, { fraction: 0.3 }]) {
      const { interventions } = await resolved({ vector: 'evil', ...entry });
      expect(interventions[0]).toMatchObject({ layer: 2, coef: expect.closeTo(3, 6) });
    }
  });

  it('adds at all layers what each of them adds itself, which sums up to the vector', async () => {
    const { interventions, additions } = await resolved({ vector: 'evil', norm: 2, layer: 'all' });
    const vectors = interventions.map(({ vector }) => [...(vector as Float32Array)]);
    expect(vectors).toEqual([
      [1, 0, 0, 0],
      [-1, 2, 0, 0],
      [0, 0, 3, 0],
    ]);
    expect(interventions.map((one) => 'coef' in one && one.coef)).toEqual([1, 1, 1]);
    expect(additions.map(({ layer }) => layer)).toEqual([1, 2, 3]);
  });

  it('clamps at percentiles and z-scores of a baseline', async () => {
    const folder = await temporaryFolder();
    const place = distributionOf(Array.from({ length: 101 }, (_, i) => i));
    const places = { prompt_last: place, response_mean: place, response_token: place };
    const baseline = join(folder, 'baseline.json');
    await writeBaseline(baseline, {
      format: 'persona-vectors/baseline/1',
      model: 'tiny',
      model_fingerprint: 'x',
      input: 'chats.jsonl',
      input_sha256: 'x',
      conversations: 1,
      turns: 1,
      vectors: [
        {
          name: 'evil',
          layer: 2,
          pooling: 'response_mean',
          vector_sha256: directionHash(evil.row(2)),
          places,
        },
      ],
    });
    const bounds = async (entry: object) =>
      (await resolved({ vector: 'evil', ...entry }, { baseline })).interventions[0];
    expect(await bounds({ cap: { percentile: 75 } })).toMatchObject({ max: 75 });
    expect(await bounds({ pin: { z: 0 } })).toMatchObject({ min: 50, max: 50 });
    expect(await bounds({ coef: -1, when: { above: { percentile: 90 } } })).toMatchObject({
      when: { layer: 2, above: 90 },
    });
    await expect(
      resolved({ vector: 'evil', layer: 3, cap: { percentile: 75 } }, { baseline }),
    ).rejects.toThrow('the baseline does not know evil at layer 3; it has evil at layer 2');
    await expect(resolved({ vector: 'evil', cap: { percentile: 75 } })).rejects.toThrow('needs a "baseline"');
  });

  it.each<[object, string]>([
    [{ vector: 'evli', coef: 1 }, 'did you mean "evil"?'],
    [{ vector: [1, 0, 0, 0], coef: 1 }, 'expected a "layer", since the vector recommends none'],
    [{ vector: [1, 0], coef: 1, layer: 1 }, "the model's width 4, got 2 numbers"],
    [{ vector: [1, 0, 0, 0], layer: 'all', coef: 1 }, 'need a vector file'],
    [{ vector: [1, 0, 0, 0], layer: 1, fraction: 1 }, 'do not say how long the residual stream is'],
    [{ vector: 'evil', layer: 4, coef: 1 }, 'expected a layer from 1 to 3'],
  ])('refuses %j', async (entry, sentence) => {
    await expect(resolved(entry)).rejects.toThrow(sentence);
  });

  it('refuses a vector of another shape, and notes one of another model', async () => {
    const folder = await temporaryFolder();
    await vectorOf(
      'evil',
      [
        [0, 0],
        [1, 1],
      ],
      { recommendedLayer: 1 },
    ).save(join(folder, 'small.safetensors'));
    await vectorOf(
      'evil',
      [0, 1, 2, 3].map((x) => [x, 1, 1, 1]),
      { model: 'base', recommendedLayer: 1 },
    ).save(join(folder, 'other.safetensors'));
    const spec = (vector: string) =>
      parseSteering({ interventions: [{ vector, coef: 1 }], vectors: folder }, 'spec');
    await expect(resolveSteering(spec('small'), checkpoint)).rejects.toThrow(
      'is of another model: it has 1 layers of width 2',
    );
    const { notes } = await resolveSteering(spec('other'), checkpoint);
    expect(notes).toEqual(['evil: the vector is from base, applied to tiny']);
    await writeFile(join(folder, 'notes.txt'), 'no vector');
  });
});
