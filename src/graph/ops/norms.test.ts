import { describe, expect, it } from 'vitest';
import { infer } from '../../../test/helpers/op-rules.ts';

describe('rmsNorm', () => {
  it('keeps the type', () => {
    expect(infer('rmsNorm', ['f32[batch, position, 4, 8]', 'f32[8]'], { epsilon: 1e-6 })).toBe(
      'f32[batch, position, 4, 8]',
    );
  });

  it.each([
    ['f32[2, 8]', 'f32[9]', 1e-6, 'expected gain of type f32[8], got f32[9]'],
    ['f32[2, 8]', 'f16[8]', 1e-6, 'expected gain of type f32[8], got f16[8]'],
    ['f32[2, 8]', 'f32[1, 8]', 1e-6, 'expected gain of type f32[8], got f32[1, 8]'],
    ['f64[2, 8]', 'f64[8]', 1e-6, 'expected x of type f32 or f16, got f64'],
    ['f32[]', 'f32[]', 1e-6, 'expected x with at least 1 axis, got a scalar'],
    ['f32[2, 8]', 'f32[8]', -1, 'expected a finite epsilon ≥ 0, got -1'],
    ['f32[2, 8]', 'f32[8]', Number.NaN, 'expected a finite epsilon ≥ 0, got NaN'],
  ])('refuses x %s, gain %s, epsilon %s', (x, gain, epsilon, message) => {
    expect(() => infer('rmsNorm', [x, gain], { epsilon })).toThrow(message);
  });
});

describe('addRmsNorm', () => {
  it('gives the norm and the sum', () => {
    const x = 'f32[batch, position, 8]';
    expect(infer('addRmsNorm', [x, x, 'f32[8]'], { epsilon: 1e-5 })).toBe(`${x} ${x}`);
  });

  it.each([
    ['f32[2, 8]', 'f32[1, 8]', 'f32[8]', 'expected skip of type f32[2, 8], got f32[1, 8]'],
    ['f32[2, 8]', 'f32[2, 8]', 'f32[4]', 'expected gain of type f32[8], got f32[4]'],
    ['f32[8]', 'f32[8]', 'f32[8]', 'expected x with 2 or 3 axes, got 1'],
  ])('refuses %s + %s with gain %s', (x, skip, gain, message) => {
    expect(() => infer('addRmsNorm', [x, skip, gain], { epsilon: 1e-5 })).toThrow(message);
  });
});
