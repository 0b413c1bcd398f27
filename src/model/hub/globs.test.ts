import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesGlob } from './globs.ts';

describe('matchesGlob', () => {
  it.each<[string, string[], string[]]>([
    ['*.json', ['a.json', '.json', 'sub/a.json'], ['a.jsonl', 'a.JSON', 'json']],
    ['tokenizer*.json', ['tokenizer.json', 'tokenizer_config.json'], ['my-tokenizer.json']],
    ['model-0000?-of-*', ['model-00001-of-00002.safetensors'], ['model-00010-of-00020.safetensors']],
    ['onnx/', ['onnx/a', 'onnx/a/b'], ['onnx', 'other/onnx/a']],
    ['[a-c]1', ['a1', 'b1', 'c1'], ['d1', '-1', 'ab1']],
    ['[!a-c]', ['d', '-'], ['a', 'b', '']],
    ['[]x]', [']', 'x'], ['[', 'y']],
    ['[!]]', ['a'], [']']],
    ['[ac-]', ['a', 'c', '-'], ['b']],
    ['a[b', ['a[b'], ['ab']],
    ['a.b', ['a.b'], ['axb']],
    ['', [''], ['a']],
    ['**', ['', 'a/b'], []],
    ['?', ['é', '😀'], ['', 'ab']],
  ])('reads %s as a shell does', (pattern, fits, others) => {
    expect(fits.filter((path) => !matchesGlob(pattern, path))).toEqual([]);
    expect(others.filter((path) => matchesGlob(pattern, path))).toEqual([]);
  });

  it('agrees with a regular expression on any stars, marks and letters', () => {
    const text = (...letters: string[]) => fc.string({ unit: fc.constantFrom(...letters), maxLength: 8 });
    fc.assert(
      fc.property(text('a', 'b', '*', '?', '.'), text('a', 'b', '.'), (pattern, path) => {
        const expression = pattern.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.');
        expect(matchesGlob(pattern, path)).toBe(new RegExp(`^${expression}$`).test(path));
      }),
      { numRuns: 2000 },
    );
  });

  it('takes no longer than the product of both lengths, whatever the pattern', () => {
    // A backtracking matcher would need 2^500 steps.
    expect(matchesGlob(`${'*a'.repeat(500)}b`, 'a'.repeat(1000))).toBe(false);
  });
});
