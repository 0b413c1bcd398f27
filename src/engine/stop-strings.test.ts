import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopWatch } from './stop-strings.ts';

function feed(
  stops: readonly string[],
  pieces: readonly string[],
): { text: string; parts: string[]; stopped: boolean } {
  const watch = new StopWatch(stops);
  const parts: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = watch.push(piece);
    parts.push(text);
    if (stopped) return { text: watch.text, parts, stopped };
  }
  parts.push(watch.end());
  return { text: watch.text, parts, stopped: false };
}

describe('StopWatch', () => {
  it('finds a stop string across pieces and lets nothing of it through', () => {
    expect(feed(['\nUser:'], ['Hello', '.\nUs', 'er', ': bye'])).toEqual({
      text: 'Hello.',
      parts: ['Hello', '.', '', ''],
      stopped: true,
    });
  });

  it('releases what turns out to be no stop string', () => {
    expect(feed(['abc'], ['xa', 'b', 'd']).parts).toEqual(['x', '', 'abd', '']);
    expect(feed(['abc'], ['xa', 'b']).parts).toEqual(['x', '', 'ab']);
  });

  it('cuts at the earliest of several', () => {
    expect(feed(['later', 'now'], ['right now or later']).text).toBe('right ');
  });

  const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 30 });
  const stop = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 });
  const texts = fc.array(letters, { maxLength: 8 });

  it('gives the text before a stop string however the text is cut into pieces', () => {
    fc.assert(
      fc.property(texts, stop, (pieces, string) => {
        const whole = pieces.join('');
        const at = whole.indexOf(string);
        const { text, stopped } = feed([string], pieces);
        expect(text).toBe(at < 0 ? whole : whole.slice(0, at));
        expect(stopped).toBe(at >= 0);
      }),
    );
  });

  it('lets nothing through twice or out of order, whatever the stop strings', () => {
    fc.assert(
      fc.property(texts, fc.array(stop, { maxLength: 3 }), (pieces, stops) => {
        const whole = pieces.join('');
        const { text, parts, stopped } = feed(stops, pieces);
        expect(whole.startsWith(text)).toBe(true);
        expect(parts.join('')).toBe(text);
        expect(stopped).toBe(stops.some((string) => whole.includes(string)));
      }),
    );
  });
});
