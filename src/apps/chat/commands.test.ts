import { describe, expect, it } from 'vitest';
import { chatHelp, type ChatLine, parseChatLine } from './commands.ts';

describe('parseChatLine', () => {
  it.each<[string, ChatLine]>([
    ['hello there', { kind: 'say', text: 'hello there' }],
    ['//etc is a folder', { kind: 'say', text: '/etc is a folder' }],
    ['/steer evil -1.5', { kind: 'steer', entry: { vector: 'evil', coef: -1.5 } }],
    ['/steer evil 0.2 fraction', { kind: 'steer', entry: { vector: 'evil', fraction: 0.2 } }],
    ['/steer evil 3 norm', { kind: 'steer', entry: { vector: 'evil', norm: 3 } }],
    ['/steer', { kind: 'steering' }],
    ['/cap evil 2', { kind: 'steer', entry: { vector: 'evil', cap: 2 } }],
    ['/cap evil 75%', { kind: 'steer', entry: { vector: 'evil', cap: { percentile: 75 } } }],
    ['/system Be brief.  Please.', { kind: 'system', text: 'Be brief.  Please.' }],
    ['/system', { kind: 'system', text: null }],
    ['/save talk.json', { kind: 'save', file: 'talk.json' }],
    ['/exit', { kind: 'quit' }],
    ['/undo', { kind: 'undo' }],
  ])('reads %s', (line, expected) => {
    expect(parseChatLine(line)).toEqual(expected);
  });

  it.each([
    ['/steer evil', 'Expected /steer NAME X'],
    ['/steer evil much', 'Expected /steer NAME X'],
    ['/steer evil 1 metre', 'Expected /steer NAME X'],
    ['/cap evil', 'Expected /cap NAME X'],
    ['/cap evil %', 'Expected /cap NAME X'],
    ['/save', 'got no file'],
    ['/undoo', 'There is no command /undoo; did you mean /undo?'],
    ['/frobnicate', '/help lists them'],
  ])('refuses %s', (line, sentence) => {
    expect(() => parseChatLine(line)).toThrow(sentence);
  });

  it('knows all that the help lists', () => {
    for (const [usage] of chatHelp) {
      const line = usage
        .replace('NAME', 'evil')
        .replace('X', '1')
        .replace(' [UNIT]', '')
        .replace('FILE', 'a.json');
      expect(() => parseChatLine(line)).not.toThrow();
    }
  });
});
