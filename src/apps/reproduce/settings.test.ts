import { describe, expect, it } from 'vitest';
import { withNeeds } from './parts.ts';
import { changeSettings, chosenTraits, fullSettings, quickSettings } from './settings.ts';

describe('settings', () => {
  it('are changed key by key, and the rest stays', () => {
    const changed = changeSettings(quickSettings, { monitoring: { samples: 7 }, max_tokens: null }, 'here');
    expect(changed.monitoring).toEqual({ ...quickSettings.monitoring, samples: 7 });
    expect(changed.max_tokens).toBeNull();
    expect(changed.extraction).toEqual(quickSettings.extraction);
  });

  it.each([
    [{ monitorin: {} }, 'here: unknown key "monitorin"; did you mean "monitoring"?'],
    [{ monitoring: { sample: 1 } }, 'here: "monitoring": unknown key "sample"; did you mean "samples"?'],
    [{ monitoring: { samples: 0 } }, 'in "monitoring.samples"'],
    [{ monitoring: 3 }, 'in "monitoring"'],
    [[], 'expected object'],
  ])('refuse %j', (change, message) => {
    expect(() => changeSettings(fullSettings, change, 'here')).toThrow(message);
  });

  it('name traits out of those that there are', () => {
    const tiny = ['apathetic', 'evil', 'hallucinating', 'humorous', 'sycophantic'];
    expect(chosenTraits('all', tiny)).toEqual(tiny);
    expect(chosenTraits('main', tiny)).toEqual(['evil', 'hallucinating', 'sycophantic']);
    expect(chosenTraits(['humorous', 'kind'], tiny)).toEqual(['humorous']);
    expect(chosenTraits('main', ['a', 'b', 'c', 'd'])).toEqual(['a', 'b', 'c']);
  });
});

describe('parts', () => {
  it('come with what they build on, in order', () => {
    expect(withNeeds(['screening', 'poolings'])).toEqual([
      'extraction',
      'poolings',
      'finetuning',
      'screening',
    ]);
    expect(withNeeds(['extraction'])).toEqual(['extraction']);
  });
});
