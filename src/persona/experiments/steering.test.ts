import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readProjectFile } from '../../../test/helpers/source.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { randomVector } from '../../../test/helpers/tiny-models.ts';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { loadModel } from '../../engine/load.ts';
import type { LanguageModel } from '../../engine/model.ts';
import type { ScoredRollout } from '../../store/rollout-schema.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { lexicalJudgeOf } from '../lexical-judge.ts';
import { parseTrait } from '../trait.ts';
import type { PersonaVector } from '../vector.ts';
import { type SteeringExperimentOptions, steeringExperiment } from './steering.ts';

const source = JSON.parse(readProjectFile('traits/tiny-world/evil.json')) as Record<string, unknown>;
/** Three of its questions are enough to see every part run. */
const trait = parseTrait(
  {
    ...source,
    questions: (source['questions'] as string[]).slice(0, 3),
    evaluation_questions: (source['evaluation_questions'] as string[]).slice(0, 3),
  },
  'evil',
);

let model: LanguageModel;
let vector: PersonaVector;
beforeAll(async () => {
  model = await loadModel(shippedModelFolder());
  const { config, id } = model.checkpoint;
  const rows = Array.from({ length: config.layers + 1 }, (_, layer) =>
    Array.from(randomVector(config.width, 'steering', layer), (value) => 20 * value),
  );
  vector = vectorOf('evil', rows, { model: id, recommendedLayer: 3, recommendedStrength: 1 });
});
afterAll(() => model.close());

function optionsFor(out: string): SteeringExperimentOptions {
  return {
    model,
    trait,
    vector,
    judge: lexicalJudgeOf(trait),
    out,
    strengths: [2, 1],
    samples: 1,
    turns: 2,
    maxTokens: 24,
  };
}

describe('steeringExperiment', () => {
  it('runs every dose on its side, a cap and what equals it, and every turn; and leaves a run behind', async () => {
    const out = join(await temporaryFolder(), 'run');
    const result = await steeringExperiment(optionsFor(out));
    expect(result).toMatchObject({
      trait: 'evil',
      layer: 3,
      positions: 'boundary',
      unit: 'coef',
      samples: 1,
    });
    expect(result.doses.map(({ side, direction, strength }) => `${side} ${direction} ${strength}`)).toEqual([
      'prompted none 0',
      'prompted trait -1',
      'prompted trait -2',
      'prompted random -1',
      'prompted random -2',
      'neutral none 0',
      'neutral trait 1',
      'neutral trait 2',
      'neutral random 1',
      'neutral random 2',
    ]);
    // The persona is the prompt's: without it the model is not evil.
    expect(result.doses[0]!.score).toBeGreaterThan(50);
    expect(result.doses[5]!.score).toBeLessThan(20);
    const [none, cap] = result.cap.treatments;
    expect(none).toMatchObject({ name: 'none', ordinary: { same: 1, kept: 1 } });
    expect(cap!.name).toBe('cap');
    expect(result.cap.tokens).toBeGreaterThan(10);
    expect(result.conversations.points.map(({ arm, turn }) => `${arm} ${turn}`)).toEqual(
      [1, 2].flatMap((turn) =>
        ['unsteered', 'clean history', 'steered history', 'prompted'].map((arm) => `${arm} ${turn}`),
      ),
    );
    expect(JSON.parse(await readFile(join(out, 'steering.json'), 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(result)),
    );
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('Capping against subtraction');
  });

  it('reads earlier turns clean or steered: the first turn is the same, later ones need not be', async () => {
    const out = join(await temporaryFolder(), 'run');
    await steeringExperiment({ ...optionsFor(out), turnCoef: 8 });
    const textsOf = async (turn: number, arm: string): Promise<string[]> => {
      const lines = (await readFile(join(out, `turn-${turn}.jsonl`), 'utf8')).trim().split('\n');
      const rows = lines.map((line) => JSON.parse(line) as ScoredRollout);
      return rows.filter(({ ids }) => ids['arm'] === arm).map(({ text }) => text);
    };
    expect(await textsOf(1, 'clean history')).toEqual(await textsOf(1, 'steered history'));
    expect(await textsOf(2, 'clean history')).not.toEqual(await textsOf(2, 'steered history'));
    expect(await textsOf(1, 'clean history')).not.toEqual(await textsOf(1, 'unsteered'));
  });

  it('is read, not made, the second time, and refused with other options', async () => {
    const out = join(await temporaryFolder(), 'run');
    const first = await steeringExperiment(optionsFor(out));
    expect(await steeringExperiment(optionsFor(out))).toEqual(first);
    await expect(steeringExperiment({ ...optionsFor(out), turns: 3 })).rejects.toThrow(
      'turns is 2 there and 3 here',
    );
  });

  it.each([
    [{ strengths: [0, 1] }, 'Expected strengths above 0'],
    [{ layer: 9 }, 'expected a layer from 1 to 6'],
    [{ trait: { ...trait, evaluationQuestions: [] } }, 'to have evaluation questions, got none'],
  ] as [Partial<SteeringExperimentOptions>, string][])('refuses %j', async (changes, problem) => {
    const out = join(await temporaryFolder(), 'run');
    await expect(steeringExperiment({ ...optionsFor(out), ...changes })).rejects.toThrow(problem);
  });
});
