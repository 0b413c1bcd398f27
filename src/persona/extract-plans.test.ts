import { describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { settle } from './extract-options.ts';
import { planExtract } from './extract-plans.ts';

describe('the plan of an extraction', () => {
  it('has what the settings ask for, without a model loaded', async () => {
    const model = { checkpoint: await loadCheckpoint('models/stories260K'), precision: 'fp32' };
    const settings = await settle({
      model,
      trait: 'cheerful',
      out: 'nowhere',
      samples: 2,
      sweep: { layers: [2, 4], strengths: [-0.4, 0.4], samples: 3, fine: false },
      doseResponse: { samples: 4, strengths: [-0.4, 0, 0.4], randomDirections: 5, randomSamples: 6 },
    });
    const { trait } = settings;
    const half = trait.evaluationQuestions.length / 2;
    const counts = planExtract(settings).map(({ step, rollouts }) => [step, rollouts.length]);
    expect(counts).toEqual([
      ['rollouts', 2 * 2 * trait.instructions.length * trait.questions.length],
      // Untouched, both prompts, and the vector and a random direction in each of four cells.
      ['sweep', 3 * half * (3 + 2 * 4)],
      // Three strengths, two beyond their ends, and both ends of five random directions.
      ['dose-response', half * (4 * 3 + 2 + 6 * 5 * 2)],
      ['held-out', 2 * trait.instructions.length * 2 * half],
    ]);
    const plan = planExtract({ ...settings, sweep: null, dose: null, heldOut: null });
    expect(plan.map(({ step }) => step)).toEqual(['rollouts']);
  });
});
