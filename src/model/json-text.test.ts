import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeJson, parseJsonObject } from './json-text.ts';
import type { Json } from './json-text.ts';
import { outcome } from '../../test/helpers/outcome.ts';
import { ParseError } from '../errors.ts';

function parse(text: string): unknown {
  return parseJsonObject(new TextEncoder().encode(text), 'x.json');
}

describe('parseJsonObject', () => {
  it('reads any JSON object as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(3), (object, indent) => {
        const text = JSON.stringify(object, null, indent);
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each([
    ['{"a":1,"a":1}', /the key "a" appears twice/],
    [String.raw`{"a":1,"\u0061":1}`, /the key "a" appears twice/],
    ['{"x":[{"a":{},"b":"a:","a" : 2}]}', /the key "a" appears twice/],
    ['{"__proto__":1,"__proto__":2}', /the key "__proto__" appears twice/],
    ['[1]', /expected a JSON object, got \[1\]/],
    ['"{}"', /expected a JSON object, got "\{\}"/],
    ['{"a":1', /expected JSON, but/],
    ['', /expected JSON, but/],
    ['\u{feff}{}', /expected JSON, but/],
    [`{"a":${'['.repeat(100)}${']'.repeat(100)}}`, /at most 64 levels of nesting/],
    [`{"a":${'['.repeat(1e5)}${']'.repeat(1e5)}}`, /at most 64 levels of nesting/],
  ])('refuses %#', (text, message) => {
    expect(() => parse(text)).toThrow(ParseError);
    expect(() => parse(text)).toThrow(message);
  });

  it('takes a key of the same name in another object, and as a value', () => {
    expect(parse('{"a":{"a":["a",{"a":"a"}],"b":"\\"a\\":"},"b":{"a":1}}')).toMatchObject({ b: { a: 1 } });
  });

  it('refuses bytes that are not UTF-8', () => {
    const bytes = Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d);
    expect(() => parseJsonObject(bytes, 'x.json')).toThrow(/"x\.json" is malformed: expected UTF-8/);
  });

  it('parses any bytes or throws a ParseError', async () => {
    const text = fc.string().map((characters) => new TextEncoder().encode(characters));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array(), text), async (bytes) => {
        const { error } = await outcome(() => parseJsonObject(bytes, 'x.json'));
        expect([null, 'ParseError']).toContain(error);
      }),
    );
  });
});

describe('describeJson', () => {
  it.each<[Json | undefined, string]>([
    [undefined, 'nothing'],
    [null, 'null'],
    [12, '12'],
    ['a\nb', String.raw`"a\nb"`],
    [[1, 2], '[1,2]'],
    ['x'.repeat(70), `"${'x'.repeat(48)}"… (70 characters)`],
    [Array.from({ length: 99 }, () => 0), 'a list of 99'],
    [{ key: 'x'.repeat(99) }, 'an object'],
  ])('puts %j short', (value, text) => {
    expect(describeJson(value)).toBe(text);
  });
});
