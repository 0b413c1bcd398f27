import { expect, it } from 'vitest';
import { parsePythonList } from './python-list.ts';

it.each([
  ['[]', []],
  ["['a']", ['a']],
  [`['a', "it's", 'say "x"',]`, ['a', "it's", 'say "x"']],
  [String.raw`['a\nb', '\\frac', '\x41é\t', '\q', 'it\'s']`, ['a\nb', '\\frac', 'Aé\t', '\\q', "it's"]],
  ["  [ 'a' ,\n 'b' ]  ", ['a', 'b']],
  ["['a, b', ']']", ['a, b', ']']],
])('reads %s', (text, items) => {
  expect(parsePythonList(text)).toEqual(items);
});

it.each(['', 'a', "['a'", "['a' 'b']", '[1, 2]', "['a'] x", "['a]", '[open("x")]', "['\\"])(
  'refuses %s',
  (text) => {
    expect(parsePythonList(text)).toBeNull();
  },
);
