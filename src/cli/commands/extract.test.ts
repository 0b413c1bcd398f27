import { Option } from '@commander-js/extra-typings';
import { CONCURRENCY, SAMPLES } from '../../persona/judges/open-judge.ts';
import { describe, expect, it } from 'vitest';
import { shippedModel } from '../../../test/helpers/broken-model.ts';
import type { LanguageModel } from '../../engine/model.ts';
import { loadCheckpoint } from '../../model/checkpoint.ts';
import { settle } from '../../persona/extract-options.ts';
import { extractCommand } from './extract.ts';

/** `--samples` → `10`, as the help says. */
function statedDefaults(): Record<string, string> {
  const command = extractCommand({ signal: new AbortController().signal });
  const stated = command.options.flatMap((option): [string, string][] => {
    const match = /\(default: (?<value>[^)]+)\)$/.exec(option.description);
    return option instanceof Option && match !== null ? [[option.long ?? '', match.groups!['value']!]] : [];
  });
  return Object.fromEntries(stated);
}

describe('the help of persona extract', () => {
  it('states the defaults that the library has', async () => {
    const model = { checkpoint: await loadCheckpoint(shippedModel) } as LanguageModel;
    const settings = await settle({ model, trait: 'cheerful', out: 'unused' });
    const single = await settle({ model, trait: 'cheerful', out: 'unused', samples: 1 });
    const { sweep, dose } = settings;
    const questions = settings.trait.evaluationQuestions.length / 2;
    expect(statedDefaults()).toEqual({
      '--out': 'runs',
      '--trait-set': 'as the model says',
      '--samples': `${settings.samples}`,
      '--questions': 'all',
      '--instructions': 'all',
      '--max-tokens': `1000 for a chat model, at most half its context; else ${settings.sampling.maxTokens}`,
      '--temperature': `${settings.temperature}, or ${single.temperature} with --samples 1`,
      '--top-p': `${settings.sampling.topP}`,
      '--seed': `${settings.sampling.seed}`,
      '--pool': `${settings.pooling}, or as the model says`,
      '--positions': `${settings.positions}, or as the model says`,
      '--dtype': 'fp32',
      '--block': '32',
      '--filter': settings.filter.mode,
      '--threshold': `${settings.filter.threshold}`,
      '--coherence-threshold': 'as --threshold',
      '--coherence-floor': `${settings.coherenceFloor}`,
      '--strength-unit': `${settings.unit}, or as the model says`,
      '--judge': settings.judge.id.split('/')[0]!,
      '--judge-concurrency': String(CONCURRENCY),
      '--judge-rpm': 'no limit',
      '--judge-samples': `0; anthropic: ${SAMPLES}`,
      '--layers': 'at most eight, evenly spread',
      '--strengths': `${sweep!.strengths.join(',')}, or as the model says`,
      '--sweep-samples': `${sweep!.samples}`,
      '--dose-layer': 'as the sweep finds',
      '--dose-strengths': `${dose!.strengths.join(',')}, or as the model says`,
      '--dose-samples': `${dose!.samples * questions} in all`,
      '--random-directions': `${dose!.randomDirections}`,
      '--random-samples': `${dose!.randomSamples * questions} in all`,
    });
  });
});
