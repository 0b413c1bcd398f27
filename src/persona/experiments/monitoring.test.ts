import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fakeTrait, openFakeModel } from '../../../test/helpers/fake-model.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { chatTemplate } from '../../model/chat-template.ts';
import { lexicalJudgeOf } from '../lexical-judge.ts';
import { parseTrait } from '../trait.ts';
import { type MonitoringOptions, monitoringExperiment } from './monitoring.ts';

/** The last word that the fake model reads is the system prompt's, so that its state before a reply is the prompt's mood. */
const lastFirst = chatTemplate("{% for m in messages[::-1] %}{{ m.content + ' ' }}{% endfor %}", {}, 'fake');
const trait = parseTrait(fakeTrait, 'cheerful');
const [width, layers] = [64, 3];
const vector = vectorOf(
  'cheerful',
  Array.from({ length: layers + 1 }, (_, l) =>
    Array.from({ length: width }, (_, axis) => (axis === 0 ? l : 0)),
  ),
  { model: 'fake', recommendedLayer: 2 },
);
const prompts = [-3, -2, -1, 0, 0, 1, 2, 3].map((mood) =>
  mood === 0
    ? 'the dog'
    : Array.from({ length: Math.abs(mood) }, () => (mood < 0 ? 'sad' : 'happy')).join(' '),
);

async function optionsFor(out: string, model = join(out, '..', 'model')): Promise<MonitoringOptions> {
  return {
    model: await openFakeModel(model, { chatTemplate: lastFirst }),
    trait,
    vector,
    judge: lexicalJudgeOf(trait),
    out,
    prompts,
    samples: 4,
    maxTokens: 24,
    randomDirections: 50,
  };
}

describe('monitoringExperiment', () => {
  it('finds that the state before a reply foretells the trait, where it does, and leaves a run behind', async () => {
    const out = join(await temporaryFolder(), 'run');
    const steps = new Set<string>();
    const result = await monitoringExperiment({
      ...(await optionsFor(out)),
      onProgress: (step) => steps.add(step),
    });
    const [system] = result.methods;
    expect(result).toMatchObject({ trait: 'cheerful', layer: 2, samples: 4 });
    expect(system).toMatchObject({
      method: 'system',
      points: 8 * trait.evaluationQuestions.length,
      conditions: 8,
    });
    expect(system!.overall.r).toBeGreaterThan(0.6);
    expect(system!.overall.lower).toBeGreaterThan(0.3);
    // Three different last words lie on a line in many directions: how the vector compares is tested beside the statistics.
    expect(system!.random).toMatchObject({ directions: 50, r95: expect.any(Number) });
    expect(result.by_layer).toHaveLength(layers);
    expect(steps).toContain('shots');
    expect(steps).toContain('rollouts');
    const stored = JSON.parse(await readFile(join(out, 'monitoring.json'), 'utf8')) as object;
    expect(stored).toEqual(JSON.parse(JSON.stringify(result)));
    const report = await readFile(join(out, 'report.html'), 'utf8');
    expect(report.match(/<circle/g)!.length).toBe(result.points.filter(({ score }) => score !== null).length);
  });

  it('is read, not made, the second time, and refused with other options', async () => {
    const out = join(await temporaryFolder(), 'run');
    const options = await optionsFor(out);
    const first = await monitoringExperiment(options);
    expect(await monitoringExperiment(options)).toEqual(first);
    await expect(monitoringExperiment({ ...options, samples: 3 })).rejects.toThrow(
      'samples is 4 there and 3 here',
    );
  });

  it('refuses a base model and a trait without evaluation questions', async () => {
    const out = join(await temporaryFolder(), 'run');
    const options = await optionsFor(out);
    const base = await openFakeModel(join(out, '..', 'base'));
    await expect(monitoringExperiment({ ...options, model: base })).rejects.toThrow('Expected a chat model');
    const bare = { ...trait, evaluationQuestions: [] };
    await expect(monitoringExperiment({ ...options, trait: bare })).rejects.toThrow(
      'to have evaluation questions',
    );
  });
});
