import { describe, expect, it } from 'vitest';
import { bounded, holds, inOrder, isHighest, sameSign, sentenceOf, withinRange } from './compare.ts';

const table = { source: 'Figure 1', by: 'paper' as const, on: 'a model' };
const place = { part: 'monitoring' as const, table, subject: 'r' };

describe('rules of comparison', () => {
  it.each([
    [{ value: 0.8 }, [0.7, 0.9], 'agrees'],
    [{ value: 0.7 }, [0.7], 'agrees'],
    [{ value: 0.6 }, [0.7, 0.9], 'differs'],
    [{ value: 0.6, lower: 0.5, upper: 0.72 }, [0.7, 0.9], 'agrees'],
    [{ value: 0.6, lower: 0.5, upper: 0.69 }, [0.9, 0.7], 'differs'],
    [{ value: 0.95, lower: 0.91, upper: 0.97 }, [0.7, 0.9], 'differs'],
    [{ value: null }, [0.7], 'open'],
  ])('range: %j in %j %s', (ours, values, verdict) => {
    expect(withinRange(place, ours, values).verdict).toBe(verdict);
  });

  it.each([
    [{ value: 0.2 }, [0.7], 'agrees'],
    [{ value: -0.2 }, [-0.7, -0.1], 'agrees'],
    [{ value: 0.2, lower: -0.1, upper: 0.4 }, [0.7], 'differs'],
    [{ value: 0 }, [0.7], 'differs'],
    [{ value: null }, [0.7], 'open'],
  ])('sign: %j like %j %s', (ours, values, verdict) => {
    expect(sameSign(place, ours, values).verdict).toBe(verdict);
  });

  it('bounds, orders and the highest', () => {
    expect(bounded(place, { value: 75 }, { least: 75 }).verdict).toBe('agrees');
    expect(bounded(place, { value: 75 }, { most: 74 }).verdict).toBe('differs');
    expect(
      inOrder(place, [
        ['high', 3],
        ['random', 2],
        ['low', 1],
      ]).verdict,
    ).toBe('agrees');
    expect(
      inOrder(place, [
        ['high', 2],
        ['random', 2],
        ['low', 1],
      ]),
    ).toMatchObject({
      verdict: 'differs',
      ours: 'high 2, random 2, low 1',
      paper: 'high > random > low',
    });
    expect(
      inOrder(place, [
        ['high', 3],
        ['random', null],
      ]).verdict,
    ).toBe('open');
    expect(
      isHighest(place, [
        ['a', 3],
        ['b', 1],
        ['c', 2],
      ]).verdict,
    ).toBe('agrees');
    expect(
      isHighest(place, [
        ['a', 2],
        ['b', 1],
        ['c', 2],
      ]).verdict,
    ).toBe('differs');
    expect(
      isHighest(place, [
        ['a', 2],
        ['b', null],
      ]).verdict,
    ).toBe('open');
  });

  it('writes numbers with their intervals, and says by which rule', () => {
    const one = withinRange(place, { value: 0.834, lower: 0.8, upper: 0.86 }, [0.747]);
    expect(one).toMatchObject({ ours: '0.83 [0.80, 0.86]', paper: '0.75', source: 'Figure 1' });
    expect(one.rule).toBe("range: our 95 % interval meets the paper's value");
  });
});

describe('the sentence', () => {
  const made = (subject: string, trait: string | null, is: boolean | null, paper = '2') =>
    holds({ ...place, subject, ...(trait !== null && { trait }) }, { ours: '1', paper, rule: 'none', is });

  it('counts, and tells the traits of a subject together', () => {
    expect(sentenceOf([made('a', 'evil', true), made('a', 'kind', true)])).toBe(
      '2 of 2 comparisons agree. As in the paper: a.',
    );
    expect(sentenceOf([made('a', 'evil', true), made('a', 'kind', false), made('b', null, true)])).toBe(
      '2 of 3 comparisons agree. As in the paper: a (evil); b. Different: a (kind 1; the paper: 2).',
    );
    const apart = [made('a', 'evil', false, '2'), made('a', 'kind', false, '3'), made('c', null, null)];
    expect(sentenceOf(apart)).toBe(
      '0 of 2 comparisons agree. Different: a (evil 1, the paper 2; kind 1, the paper 3). Not to be said: c.',
    );
  });

  it('says so where nothing is compared', () => {
    expect(sentenceOf([made('c', null, null)])).toBe('Nothing of it could be compared.');
    expect(sentenceOf([])).toBe('Nothing of it could be compared.');
  });
});
