import { expect, it } from 'vitest';
import { adverbs } from './grammar.ts';
import { neutralAdverbs, neutralOpeners, neutralTails } from './phrases.ts';
import { type Marks, traitNames, traitWords } from './trait-words.ts';
import { domains, topics, valuesOf } from './world.ts';

it('gives no mark to two traits, or to a trait and nobody', () => {
  const all = (marks: Marks): readonly string[] => [...marks.mild, ...marks.strong];
  const words = traitNames.map((trait) => traitWords[trait]);
  const lists = [
    [...neutralOpeners, ...words.flatMap(({ openers }) => all(openers))],
    [...neutralTails, ...words.flatMap(({ tails }) => all(tails))],
    [...neutralAdverbs, ...words.flatMap(({ adverbs: own }) => own)],
    words.flatMap(({ sentences }) => all(sentences)),
  ];
  for (const list of lists) expect(new Set(list).size).toBe(list.length);
  expect(adverbs.every((word) => /^[a-z]+$/.test(word))).toBe(true);
});

it('names every topic once and gives it two values, each of which another topic lacks', () => {
  expect(new Set(topics.map(({ name }) => name)).size).toBe(topics.length);
  expect(topics.filter(({ values }) => values.includes(''))).toEqual([]);
  for (const domain of domains) {
    for (const relation of [0, 1] as const) expect(valuesOf(domain, relation).length).toBeGreaterThan(1);
  }
});
