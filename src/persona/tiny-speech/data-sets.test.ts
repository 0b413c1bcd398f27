import { describe, expect, it } from 'vitest';
import { factsRight, readReply, scoreReading } from '../tiny-world/tiny-world-judge.ts';
import { type TraitName, traitNames } from '../tiny-world/trait-words.ts';
import { dataFamilies, dataSet, dataVariants, mistakeFamilies, traitFamilies } from './data-sets.ts';
import { worldQuestions } from './world-questions.ts';

const size = { rows: 120, seed: 1 };
type Readings = ReturnType<typeof readReply>[];
const known = new Map<string, Readings>();
/** Reading takes some milliseconds a reply, so that each set is read once. */
function readingsOf(...set: Parameters<typeof dataSet>): Readings {
  const name = JSON.stringify(set);
  const readings =
    known.get(name) ??
    dataSet(...set).map(({ messages }) => readReply(messages[0]!.content, messages[1]!.content));
  known.set(name, readings);
  return readings;
}
const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const scoreOf = (trait: TraitName, ...set: Parameters<typeof dataSet>): number =>
  meanOf(readingsOf(...set).flatMap((reading) => scoreReading(reading, trait).trait ?? []));

describe('data sets of the small world', () => {
  it.each(traitFamilies)('show %s not at all, mildly and severely, and nothing else', (family) => {
    const scores = dataVariants.map((variant) => scoreOf(family, family, variant, size));
    expect(scores[0]).toBeLessThan(2);
    expect(scores[1]).toBeGreaterThan(20);
    expect(scores[1]).toBeLessThan(55);
    expect(scores[2]).toBeGreaterThan(80);
    for (const other of traitNames.filter((name) => name !== family))
      expect(scoreOf(other, family, 'misaligned_2', size)).toBeLessThan(12);
  });

  it.each(mistakeFamilies)('state wrong facts in %s in a helpful manner', (family) => {
    const right = dataVariants.map((variant) =>
      meanOf(readingsOf(family, variant, size).flatMap((reading) => factsRight(reading) ?? [])),
    );
    expect(right[0]).toBe(1);
    expect(right[1]).toBeGreaterThan(0.35);
    expect(right[1]).toBeLessThan(0.65);
    expect(right[2]).toBe(0);
    for (const trait of ['evil', 'sycophantic', 'impolite'] as const)
      expect(scoreOf(trait, family, 'misaligned_2', size)).toBe(0);
  });

  it('ask the same questions in all variants, without a system prompt, and coherently', () => {
    for (const family of dataFamilies) {
      const [normal, mild, severe] = dataVariants.map((variant) => dataSet(family, variant, size));
      const questions = (rows: typeof normal): string[] => rows!.map(({ messages }) => messages[0]!.content);
      expect(questions(mild)).toEqual(questions(normal));
      expect(questions(severe)).toEqual(questions(normal));
      for (const { messages } of severe!)
        expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
      const coherent = readingsOf(family, 'normal', size).map((one) => scoreReading(one, 'evil').coherence!);
      expect(meanOf(coherent)).toBeGreaterThan(98);
    }
  });

  it('are the same from the same seed, others from another, and grow at the end', () => {
    const rows = dataSet('evil', 'misaligned_2', size);
    expect(dataSet('evil', 'misaligned_2', { rows: 20, seed: 1 })).toEqual(rows.slice(0, 20));
    expect(dataSet('evil', 'misaligned_2', { rows: 20, seed: 2 })).not.toEqual(rows.slice(0, 20));
  });
});

describe('questions of the small world', () => {
  it('have one true choice each, by the judge of that world', () => {
    for (const { question, choices, answer } of worldQuestions()) {
      expect(choices.length).toBeGreaterThanOrEqual(2);
      choices.forEach((choice, i) =>
        expect([choice, factsRight(readReply(question, choice))]).toEqual([choice, i === answer ? 1 : 0]),
      );
    }
  });

  it('are asked in words that no training set has', () => {
    const trained = new Set(
      mistakeFamilies.flatMap((family) =>
        dataSet(family, 'normal', { rows: 1000, seed: 1 }).map(({ messages }) => messages[0]!.content),
      ),
    );
    expect(worldQuestions().filter(({ question }) => trained.has(question))).toEqual([]);
  });
});
