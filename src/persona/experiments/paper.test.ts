import { expect, it } from 'vitest';
import * as paper from './paper.ts';

it('has every pair of traits in both matrices, with the diagonals and corners of the figures', () => {
  const traits = Object.keys(paper.vectorCosines.values).filter((name) => {
    const [a, b] = name.split(' ');
    return a === b;
  });
  expect(traits).toHaveLength(7);
  expect(Object.keys(paper.shiftCorrelations.values)).toHaveLength(49);
  expect(paper.shiftCorrelations.values['evil evil']).toEqual([0.826, 0.93]);
  // Rows are shifts: that along sycophancy with the evil score is the low one.
  expect(paper.shiftCorrelations.values['sycophantic evil']).toEqual([0.344, 0.701]);
  expect(paper.shiftCorrelations.values['evil sycophantic']).toEqual([0.6, 0.645]);
  expect(paper.shiftCorrelations.values['optimistic apathetic']).toEqual([-0.877, -0.963]);
  expect(paper.vectorCosines.values['humorous optimistic']).toEqual([-0.144, -0.237]);
  expect(paper.vectorCosines.values['impolite apathetic']).toEqual([0.542, 0.734]);
  expect(paper.vectorCosines.values['apathetic impolite']).toEqual([0.542, 0.734]);
  expect(paper.vectorCosines.values['optimistic optimistic']).toEqual([1, 1]);
});

it('gives every table a source, an origin, and as many scores as coefficients', () => {
  const tables = Object.values(paper).flatMap((value) =>
    typeof value === 'object' && 'source' in value ? [value] : [],
  );
  expect(tables.length).toBeGreaterThan(15);
  for (const { source, by, on } of tables) {
    expect(source).toMatch(/^(Figure|Table|Section|Appendix)/);
    expect(['paper', 'replication', 'second hand']).toContain(by);
    expect(on).not.toBe('');
  }
  for (const { values } of [paper.doseResponse, paper.postHoc])
    for (const scores of Object.values(values.scores)) expect(scores).toHaveLength(values.coefs.length);
});
