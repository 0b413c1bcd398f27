import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { failingFiles } from '../../test/helpers/failing-files.ts';
import { type FakeOptions, fakeTrait, openFakeModel } from '../../test/helpers/fake-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { readSafetensors } from '../model/safetensors-content.ts';
import { describeArtifact } from '../store/manifest.ts';
import { extract } from './extract.ts';
import type { ExtractOptions } from './extract-options.ts';
import type { ExtractEvent } from './progress.ts';
import { parseTrait } from './trait.ts';
import { PersonaVector } from './vector.ts';

const trait = parseTrait(fakeTrait, 'cheerful');
/** Small and quick: 2 poles × 2 instructions × 4 questions × 10 samples, and little measuring. */
const quick = {
  trait,
  samples: 10,
  maxTokens: 16,
  strengthUnit: 'coef',
  sweep: { layers: [1, 3], strengths: [-2, 2], samples: 4 },
  doseResponse: { strengths: [-2, -1, 0, 1, 2], samples: 8, randomDirections: 12, randomSamples: 8 },
} as const;

async function run(changes: Partial<ExtractOptions> = {}, fake: FakeOptions = {}) {
  const folder = await temporaryFolder();
  const model = await openFakeModel(join(folder, 'model'), fake);
  return extract({ model, out: join(folder, 'run'), ...quick, ...changes });
}

describe('extract', () => {
  it('finds the direction of a trait, measures that it steers, and leaves a whole run folder', async () => {
    const result = await run();
    expect(result.counts.kept).toBeGreaterThanOrEqual(30);
    expect(result.counts).toMatchObject({ pairs: 80 });
    // In the fake model the mood is axis 0 of every layer but the embeddings.
    const row = result.vector.row(3);
    expect(row[0]).toBeGreaterThan(1);
    expect(Math.abs(row[0]!) / result.vector.norm(3)).toBeGreaterThan(0.9);
    expect(result.doseResponse).toMatchObject({ steers: true, spearman: expect.closeTo(1, 5) });
    expect(result.sweep!.recommended!.score).toBeGreaterThan(result.sweep!.zero.score!);
    // The mood is an axis of the fake model, so its projection tells held-out texts apart too.
    const { heldOut } = result.validation;
    expect(heldOut!.layers[3]!.auroc.value).toBeGreaterThan(0.7);
    expect(result.doseResponse!.chosen).toMatchObject({ strength: result.sweep!.recommended!.strength });
    expect(result.sweep!.prompts.pos.score).toBeGreaterThan(result.sweep!.prompts.neg.score!);
    expect((await readdir(result.folder)).sort()).toEqual([
      'activations.safetensors',
      'dose-response-rollouts.jsonl',
      'dose-response.json',
      'held-out-activations.safetensors',
      'held-out-rollouts.jsonl',
      'manifest.json',
      'projections.json',
      'recipe.json',
      'report.html',
      'rollouts.jsonl',
      'sweep-fine-rollouts.jsonl',
      'sweep-rollouts.jsonl',
      'sweep.json',
      'trait.json',
      'vector.safetensors',
    ]);
  });

  it('writes a manifest that its files agree with, and a vector that needs no run', async () => {
    const { folder, manifest, vector, sweep } = await run();
    for (const [name, artifact] of Object.entries(manifest.artifacts)) {
      expect(await describeArtifact(join(folder, name))).toEqual(artifact);
    }
    expect(manifest.machine).toMatchObject({ node: process.version, threads: 1 });
    expect(manifest).toMatchObject({
      schema: 1,
      kind: 'extract',
      model: { id: 'model', layers: 3, width: 64, dtype: 'fp32' },
      recipe: { samples: 10, seed: 0, positions: 'response', prompt: { kind: 'plain' } },
      counts: { rollouts: 160, pairs: 80 },
    });
    expect(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))).toEqual(manifest);
    const loaded = await PersonaVector.load(join(folder, 'vector.safetensors'));
    expect(loaded).toEqual(vector);
    expect(loaded.metadata).toMatchObject({
      trait: 'cheerful',
      pairsKept: manifest.counts['pairs_kept'],
      recommendedLayer: sweep!.recommended!.layer,
      recommendedStrength: sweep!.recommended!.strength,
    });
    const { tensors } = await readSafetensors(join(folder, 'vector.safetensors'));
    expect([...tensors.keys()]).toEqual(['response_mean', 'prompt_mean', 'prompt_last', 'boundary_mean']);
    // Both poles' prompts end with the same word, so the embeddings of the last token do not differ.
    const last = await PersonaVector.load(join(folder, 'vector.safetensors'), 'prompt_last');
    expect(last.norm(0)).toBe(0);
    expect(
      (await PersonaVector.load(join(folder, 'vector.safetensors'), 'prompt_mean')).norm(3),
    ).toBeGreaterThan(0);
    const activations = await readSafetensors(join(folder, 'activations.safetensors'));
    expect(activations.tensors.get('prompt_last')!.shape).toEqual([160, 4, 64]);
  });

  it('is greedy where every question is asked once, as the authors are, but measures by sampling', async () => {
    const { manifest, sweep } = await run({ samples: 1, force: true, doseResponse: false });
    expect(manifest.recipe).toMatchObject({ samples: 1, temperature: 0, evaluation_temperature: 1 });
    expect(sweep).not.toBeNull();
    const warm = await run({ samples: 1, temperature: 0.5, force: true, sweep: false });
    expect(warm.manifest.recipe).toMatchObject({ temperature: 0.5, evaluation_temperature: 0.5 });
  });

  it('asks fewer questions under fewer instructions where told to', async () => {
    const { counts, folder } = await run({ questions: 3, instructions: 1, force: true, sweep: false });
    expect(counts.poles.pos.sampled).toBe(1 * 3 * 10);
    const text = await readFile(join(folder, 'rollouts.jsonl'), 'utf8');
    const { pos, neg } = fakeTrait.instruction[0]!;
    const rows = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { system: string; question: string });
    expect(new Set(rows.map(({ system }) => system))).toEqual(new Set([pos, neg]));
    expect(new Set(rows.map(({ question }) => question))).toEqual(new Set(fakeTrait.questions.slice(0, 3)));
  });

  it('lets each rollout stand for itself where asked to', async () => {
    const paired = await run({ sweep: false });
    const free = await run({ sweep: false, filter: 'independent' });
    const { pos, neg } = free.counts.poles;
    expect(pos.kept).toBeGreaterThan(paired.counts.kept);
    expect(neg.kept).toBeGreaterThan(paired.counts.kept);
    expect(free.counts.kept).toBe(Math.min(pos.kept, neg.kept));
    expect(free.manifest.counts).toMatchObject({ positive_kept: pos.kept, negative_kept: neg.kept });
    expect(free.vector.row(3)[0]).toBeGreaterThan(1);
  });

  it('keeps other directions beside the vector where asked to, and compares them', async () => {
    const { directions, vector, folder, manifest } = await run({
      sweep: false,
      directions: ['probe', 'pca'],
    });
    expect(directions).toMatchObject({ pooling: 'response_mean', paired: true });
    const [pca, probe] = directions!.directions;
    expect([pca!.kind, probe!.kind]).toEqual(['pca', 'probe']);
    // The mood is axis 0 of every layer but the embeddings, and the pairs differ in little else.
    for (const found of [pca!, probe!]) {
      expect(found.cosines).toHaveLength(4);
      expect(found.cosines[3]).toBeGreaterThan(0.8);
      expect(found.converged).toEqual([true, true, true, true]);
    }
    expect(probe!.quality[3]).toBeGreaterThan(0.9);
    const loaded = await PersonaVector.load(join(folder, 'vector.safetensors'), 'response_mean.probe');
    expect(loaded.norm(3)).toBeCloseTo(vector.norm(3), 4);
    expect(loaded.metadata.residualNorms).toEqual(vector.metadata.residualNorms);
    expect(Object.keys(manifest.artifacts)).toContain('directions.json');
    expect(await readFile(join(folder, 'report.html'), 'utf8')).toContain('Other directions');
  });

  it('opens a finished run without making anything again', async () => {
    const folder = await temporaryFolder();
    const model = await openFakeModel(join(folder, 'model'));
    const first = await extract({ model, out: join(folder, 'run'), ...quick });
    const silent = { ...model, generate: () => expect.unreachable('the run is finished') };
    const events: ExtractEvent[] = [];
    const again = await extract({
      model: silent,
      out: join(folder, 'run'),
      ...quick,
      onProgress: (event) => events.push(event),
    });
    expect(again).toEqual(first);
    const ends = events.filter((event) => event.type === 'step-end');
    expect(ends.map(({ step, reused }) => [step, reused])).toEqual([
      ['rollouts', true],
      ['vector', true],
      ['sweep', true],
      ['dose-response', true],
      ['held-out', true],
    ]);
  });

  it('tells how far it is', async () => {
    const events: ExtractEvent[] = [];
    await run({ onProgress: (event) => events.push(event) });
    const progress = events.filter((event) => event.type === 'step-progress' && event.step === 'rollouts');
    expect(progress.at(-1)).toMatchObject({ phase: 'judge', done: 160, total: 160 });
    expect(events.filter(({ type }) => type === 'step-end')).toHaveLength(6);
  });

  it('leaves out what is not asked for, and what the trait has no questions for', async () => {
    const bare = await run({ sweep: false });
    expect(bare).toMatchObject({ sweep: null, doseResponse: null });
    expect(bare.vector.metadata.recommendedLayer).toBeNull();
    const { evaluation_questions: _, ...rest } = fakeTrait;
    expect(await run({ trait: parseTrait(rest, '') })).toMatchObject({ sweep: null, doseResponse: null });
    const chosen = await run({ sweep: false, doseResponse: { ...quick.doseResponse, layer: 2 } });
    expect(chosen).toMatchObject({ sweep: null, doseResponse: { layer: 2, steers: true } });
  });

  it('stops when asked to, and goes on to the same files', async () => {
    const folder = await temporaryFolder();
    const model = await openFakeModel(join(folder, 'model'));
    const controller = new AbortController();
    const stopped = extract({
      model,
      out: join(folder, 'run'),
      ...quick,
      signal: controller.signal,
      onProgress: (event) => {
        if (event.type === 'step-progress' && event.done === 70) controller.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' });
    const lines =
      (await readFile(join(folder, 'run', 'rollouts.jsonl.partial'), 'utf8')).split('\n').length - 1;
    expect(lines).toBe(70);
    await extract({ model, out: join(folder, 'run'), ...quick });
    await extract({ model, out: join(folder, 'straight'), ...quick });
    const names = ['rollouts.jsonl', 'activations.safetensors', 'vector.safetensors', 'report.html'];
    const hashes = (out: string) =>
      Promise.all(names.map((name) => describeArtifact(join(folder, out, name))));
    expect(await hashes('run')).toEqual(await hashes('straight'));
  });
});

describe('bad input to extract', () => {
  it('too few pairs: says why, and goes on when forced', async () => {
    const folder = await temporaryFolder();
    const model = await openFakeModel(join(folder, 'model'));
    const few = { model, out: join(folder, 'run'), ...quick, samples: 2 };
    const failure = await extract(few).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'data', details: { pairs: 16 } });
    expect((failure as Error).message).toMatch(
      /^Expected the filter to keep at least 30 of 16 pairs at threshold 50, got \d+ \(dropped: .*\); sample more/,
    );
    const forced = await extract({ ...few, force: true });
    expect(forced.counts.kept).toBeGreaterThan(0);
  });

  it('nothing kept: an error even when forced', async () => {
    const failing = run({ force: true }, { sensitivity: -1 });
    await expect(failing).rejects.toThrow(/at least 1 of 80 pairs.*got 0.*do not bring the trait out/);
  });

  it('a folder of another recipe, of other files, and one in use', async () => {
    const folder = await temporaryFolder();
    const model = await openFakeModel(join(folder, 'model'));
    const out = join(folder, 'run');
    const both = await Promise.allSettled([1, 2].map(() => extract({ model, out, ...quick })));
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const { reason } = both.find((one) => one.status === 'rejected')!;
    expect((reason as Error).message).toContain('is in use by process');
    await expect(extract({ model, out, ...quick, samples: 11 })).rejects.toThrow(
      'made with other options (samples is 10 there and 11 here)',
    );
    await mkdir(join(folder, 'other'));
    await writeFile(join(folder, 'other', 'notes.md'), '');
    await expect(extract({ model, out: join(folder, 'other'), ...quick })).rejects.toThrow('notes.md');
  });

  it('a full disk: says so, and goes on to the same vector when there is room', async () => {
    const folder = await temporaryFolder();
    const model = await openFakeModel(join(folder, 'model'));
    const full = extract({
      model,
      out: join(folder, 'run'),
      ...quick,
      files: failingFiles({ after: 200_000 }),
    });
    await expect(full).rejects.toMatchObject({ code: 'store', details: { reason: 'ENOSPC' } });
    await extract({ model, out: join(folder, 'run'), ...quick });
    await extract({ model, out: join(folder, 'straight'), ...quick });
    const read = (out: string): Promise<Buffer> => readFile(join(folder, out, 'vector.safetensors'));
    expect(await read('run')).toEqual(await read('straight'));
  });

  it('a trait without word lists for the lexical judge', async () => {
    const { lexicon: _, ...rest } = fakeTrait;
    await expect(run({ trait: parseTrait(rest, '') })).rejects.toThrow('got no "lexicon" in its file');
  });

  it.each([
    [{ samples: 0 }, 'Expected samples to be a whole number, 1 or more, got 0'],
    [{ temperature: -1 }, 'Expected temperature to be a number from 0 to 100, got -1'],
    [{ topP: 0 }, 'Expected topP to be a number above 0 to 1, got 0'],
    [{ threshold: 101 }, 'Expected threshold to be a number from 0 to 100, got 101'],
    [{ sweep: { layers: [0] } }, 'Expected sweep.layers to be a whole number, 1 to 3, got 0'],
    [{ sweep: { strengths: [0, 1] } }, 'Expected sweep.strengths to be none to be 0'],
    [{ doseResponse: { strengths: [1, 1] } }, 'at least 2 different finite numbers, got [1, 1]'],
    [{ doseResponse: { layer: 4 } }, 'Expected doseResponse.layer to be a whole number, 1 to 3, got 4'],
    [{ trait: 'grumpy' }, 'got "grumpy"'],
  ] as const)('the option %j', async (changes, message) => {
    await expect(run(changes)).rejects.toThrow(message);
  });
});
