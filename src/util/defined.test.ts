import { expect, it } from 'vitest';
import { defined } from './defined.ts';

it('drops undefined properties and nothing else', () => {
  expect(Object.keys(defined({ seed: undefined, topP: 0 }))).toEqual(['topP']);
  expect(defined({ a: null, b: false, c: '', d: NaN })).toEqual({ a: null, b: false, c: '', d: NaN });
});

it('has a type that an exact optional property accepts', () => {
  const take = (options: { readonly seed?: number; readonly name: string }): number => options.seed ?? 7;
  const given = (seed: number | undefined): number => take(defined({ seed, name: 'a' }));
  expect(given(undefined)).toBe(7);
  expect(given(3)).toBe(3);
});
