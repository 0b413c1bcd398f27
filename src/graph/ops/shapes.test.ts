import { describe, expect, it } from 'vitest';
import { infer } from '../../../test/helpers/op-rules.ts';

describe('reshape', () => {
  it.each([
    ['f32[batch, position, 12]', ['batch', 'position', 3, 4]],
    ['f32[batch, position, 3, 4]', ['batch', 'position', 12]],
    ['f32[batch, position, 4]', ['batch*position', 4]],
    ['f32[batch*position, 4]', ['position*batch', 2, 2]],
    ['f32[batch, 2, position]', ['batch', '2*position']],
    ['f32[batch, 4]', [2, 'batch', 2]],
    ['f32[batch, 0, 4]', ['batch', 0, 2]],
    ['f32[6]', [2, 3]],
    ['f32[1]', []],
  ])('%s to %o', (x, shape) => {
    expect(infer('reshape', [x], { shape })).toBe(`f32[${shape.join(', ')}]`);
  });

  it.each([
    ['f32[batch, 4]', ['batch', 5], 'expected a shape with the elements of [batch, 4], got [batch, 5]'],
    ['f32[batch, 4]', ['position', 4], 'expected a shape with the elements of [batch, 4], got [position, 4]'],
    [
      'f32[batch, 4]',
      ['batch', 'batch', 4],
      'expected a shape with the elements of [batch, 4], got [batch, batch, 4]',
    ],
    [
      'f32[batch, position]',
      ['position', 'batch'],
      'expected at most one named axis that is not in its place',
    ],
    [
      'f32[batch*position]',
      ['batch', 'position'],
      'expected at most one named axis that is not in its place',
    ],
    ['f32[2, 0]', [0, 2], 'expected empty axes to stay in place of [2, 0], got [0, 2]'],
    [
      'f32[batch, 0]',
      ['position', 0],
      'expected named axes in their place of the input beside an empty axis',
    ],
    ['f32[4]', [-1, 2], 'expected axes that are names or whole numbers ≥ 0, got [-1, 2]'],
  ])('refuses %s to %o', (x, shape, message) => {
    expect(() => infer('reshape', [x], { shape })).toThrow(message);
  });
});

describe('expand', () => {
  it.each([
    ['f32[batch, 1, 4]', ['batch', 3, 4]],
    ['f32[4]', [2, 1, 4]],
    ['f32[1, 4]', [0, 4]],
  ])('%s to %o', (x, shape) => {
    expect(infer('expand', [x], { shape })).toBe(`f32[${shape.join(', ')}]`);
  });

  it.each([
    ['f32[1, 4]', ['batch', 4]],
    ['f32[2, 4]', [3, 4]],
    ['f32[2, 4]', [4]],
    ['f32[batch]', [1]],
  ])('refuses %s to %o', (x, shape) => {
    expect(() => infer('expand', [x], { shape })).toThrow('broadcasts to, named axes kept');
  });
});

describe('transpose, unsqueeze, squeeze', () => {
  it('move and add and drop axes', () => {
    expect(infer('transpose', ['f32[a, b, 3]'], { permutation: [2, 0, 1] })).toBe('f32[3, a, b]');
    expect(infer('unsqueeze', ['f32[a, b]'], { axes: [0, -1] })).toBe('f32[1, a, b, 1]');
    expect(infer('unsqueeze', ['f32[a, b]'], { axes: [2, 1] })).toBe('f32[a, 1, 1, b]');
    expect(infer('squeeze', ['f32[1, a, 1, 1]'], { axes: [0, -1] })).toBe('f32[a, 1]');
  });

  it('refuse axes that are not there', () => {
    expect(() => infer('transpose', ['f32[2, 3]'], { permutation: [0, 0] })).toThrow(
      'expected a permutation of the 2 axes, got [0, 0]',
    );
    expect(() => infer('transpose', ['f32[2, 3]'], { permutation: [0] })).toThrow(
      'expected a permutation of the 2 axes, got [0]',
    );
    expect(() => infer('unsqueeze', ['f32[2]'], { axes: [2] })).toThrow(
      'expected an axis from -2 to 1, got 2',
    );
    expect(() => infer('squeeze', ['f32[2, 1]'], { axes: [0] })).toThrow(
      'expected axes of length 1, got 2 at axis 0',
    );
    expect(() => infer('squeeze', ['f32[batch]'], { axes: [0] })).toThrow(
      'expected axes of length 1, got batch at axis 0',
    );
    expect(() => infer('squeeze', ['f32[1]'], { axes: [] })).toThrow('expected at least one axis, got none');
  });
});

describe('concat', () => {
  it('adds up lengths, or takes the name that the caller gives', () => {
    expect(infer('concat', ['f32[batch, 2]', 'f32[batch, 3]', 'f32[batch, 0]'], { axis: -1 })).toBe(
      'f32[batch, 5]',
    );
    expect(infer('concat', ['f32[past, 2]', 'f32[new, 2]'], { axis: 0, length: 'past+new' })).toBe(
      'f32[past+new, 2]',
    );
    expect(infer('concat', ['f32[past, 2]'], { axis: 0 })).toBe('f32[past, 2]');
  });

  it.each([
    [
      ['f32[a, 2]', 'f32[b, 2]'],
      { axis: 0 },
      'expected a `length` for the joined axis, since a part of it is named, got none',
    ],
    [['f32[2, 2]', 'f32[1, 2]'], { axis: 0, length: 4 }, 'expected `length` 3, got 4'],
    [['f32[2, 2]', 'f32[2, 3]'], { axis: 0 }, 'expected parts like f32[_, 2], got f32[2, 3]'],
    [['f32[2, 2]', 'f32[2]'], { axis: 0 }, 'expected parts like f32[_, 2], got f32[2]'],
    [['f32[2, 2]', 'f16[2, 2]'], { axis: 0 }, 'expected parts like f32[_, 2], got f16[2, 2]'],
    [[], { axis: 0 }, 'expected an input part 0, got none'],
  ])('refuses %o with %o', (inputs, attributes, message) => {
    expect(() => infer('concat', inputs, attributes)).toThrow(message);
  });
});

describe('slice', () => {
  it.each([
    ['f32[batch, 10]', { axis: 1, start: 2, end: 5 }, 'f32[batch, 3]'],
    ['f32[batch, 10]', { axis: -1, start: -3 }, 'f32[batch, 3]'],
    ['f32[batch, 10]', { axis: 1, start: 0, end: -1 }, 'f32[batch, 9]'],
    ['f32[batch, 10]', { axis: 1, start: 8, end: 99 }, 'f32[batch, 2]'],
    ['f32[batch, 10]', { axis: 1, start: 5, end: 5 }, 'f32[batch, 0]'],
    ['f32[batch, 10]', { axis: 1, start: 6, end: 5 }, 'f32[batch, 0]'],
    ['f32[position, 2]', { axis: 0, start: 1, length: 'position-1' }, 'f32[position-1, 2]'],
  ])('of %s with %o is %s', (x, attributes, result) => {
    expect(infer('slice', [x], attributes)).toBe(result);
  });

  it.each([
    [
      'f32[position]',
      { axis: 0, start: 1 },
      'expected a `length` for the result, since axis position is named, got none',
    ],
    ['f32[4]', { axis: 0, start: 1, length: 4 }, 'expected `length` 3, got 4'],
    ['f32[4]', { axis: 1, start: 1 }, 'expected an axis from -1 to 0, got 1'],
    ['f32[4]', { axis: 0, start: 0.5, end: 2 }, 'expected whole numbers as bounds, got 0.5 and 2'],
  ])('of %s refuses %o', (x, attributes, message) => {
    expect(() => infer('slice', [x], attributes)).toThrow(message);
  });
});

describe('split', () => {
  it('cuts an axis into parts', () => {
    expect(infer('split', ['f32[batch, 6]'], { axis: -1, sizes: [1, 0, 5] })).toBe(
      'f32[batch, 1] f32[batch, 0] f32[batch, 5]',
    );
  });

  it.each([
    ['f32[batch, 6]', { axis: 1, sizes: [1, 4] }, 'expected sizes that add up to 6, got [1, 4]'],
    ['f32[batch, 6]', { axis: 0, sizes: [6] }, 'expected sizes that add up to batch, got [6]'],
    ['f32[6]', { axis: 0, sizes: [7, -1] }, 'expected axes that are names or whole numbers ≥ 0, got [7, -1]'],
    ['f32[0]', { axis: 0, sizes: [] }, 'expected sizes that add up to 0, got []'],
  ])('of %s refuses %o', (x, attributes, message) => {
    expect(() => infer('split', [x], attributes)).toThrow(message);
  });
});
