import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCsv, parseCsv } from './csv.ts';

describe('parseCsv', () => {
  it.each([
    [
      'plain fields',
      'a,b\n1,2\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'CRLF, and no line break at the end',
      'a,b\r\n1,2',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    ['quotes, commas and line breaks inside quotes', '"a ""b"",\r\nc",d\n', [['a "b",\r\nc', 'd']]],
    [
      'empty fields, quoted or not',
      ',"",\nx,,\n',
      [
        ['', '', ''],
        ['x', '', ''],
      ],
    ],
    ['a comma at the very end', 'a,', [['a', '']]],
    ['a byte-order mark', '\uFEFFa\n', [['a']]],
    ['a quote inside a bare field', 'a"b,c\n', [['a"b', 'c']]],
    ['nothing', '', []],
    ['a carriage return inside a bare field', 'a\rb,c\n', [['a\rb', 'c']]],
  ])('reads %s', (_, text, records) => {
    expect(parseCsv(text, 'x.csv')).toEqual(records);
  });

  it.each([
    ['a,b\n"open', '"x.csv", line 2: a quote that opens here is never closed'],
    ['"a"b\n', '"x.csv", line 1: expected a comma or the end of the line after a quoted field'],
  ])('refuses %j', (text, message) => {
    expect(() => parseCsv(text, 'x.csv')).toThrow(message);
  });

  it('reads back whatever formatCsv writes', () => {
    const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '😀') });
    // A record of one empty field is an empty line, which is no record at the end of a file.
    const record = fc.array(field, { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(record), (records) => {
        expect(parseCsv(formatCsv(records), '')).toEqual(records);
      }),
    );
  });
});
