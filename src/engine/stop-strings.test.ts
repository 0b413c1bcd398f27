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

  it('gives the text before the first stop string however the text is cut into pieces', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 30 });
    const stop = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 8 }), fc.array(stop, { maxLength: 3 }), (pieces, stops) => {
        const whole = pieces.join('');
        const cuts = stops.map((string) => whole.indexOf(string)).filter((at) => at >= 0);
        const end = cuts.length === 0 ? whole.length : Math.min(...cuts);
        const result = feed(stops, pieces);
        // A longer stop string may end in a later piece than a shorter one that begins after it.
        expect(whole.startsWith(result.text)).toBe(true);
        if (stops.length <= 1) expect(result.text).toBe(whole.slice(0, end));
        expect(result.parts.join('')).toBe(result.text);
        expect(result.stopped).toBe(cuts.length > 0);
      }),
    );
  });
});
