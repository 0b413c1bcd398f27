import { baselineOf, calibrated } from '../persona/projection/baseline.ts';
import type { Watched } from '../persona/projection/watch.ts';
import type { Baseline, CalibratedPlace } from '../store/baseline-file.ts';
import { resultColours } from './terminal.ts';

/** Blocks from an eighth to a whole, of which bars are made. */
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const barWidth = 8;

export interface BarScene {
  readonly baseline: Baseline | undefined;
  readonly place: CalibratedPlace;
}

/**
 * A line of bars, one a vector: with a baseline as long as the percentile, else as the projection's share of the
 * longest one.
 */
export function barLine(
  name: string,
  watched: readonly Watched[],
  values: readonly number[],
  { baseline, place }: BarScene,
): string {
  const longest = Math.max(...values.map(Math.abs), 1e-9);
  const parts = watched.map((one, i) => {
    const value = values[i]!;
    const known = baseline === undefined ? null : baselineOf(baseline, one).places[place];
    const percentile = known === null ? null : calibrated(value, known).percentile;
    const share = percentile === null ? Math.max(0, value / longest) : percentile / 100;
    const label = percentile === null ? value.toFixed(1) : `${percentile.toFixed(0)} %`;
    return `${one.name} ${bar(share)} ${label}`;
  });
  return `${resultColours.dim(`${name.padEnd(9)} ${parts.join('  ')}`)}\n`;
}

/** A bar of at most eight characters, padded to them. */
export function bar(share: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * barWidth * 8);
  const text = '█'.repeat(Math.floor(filled / 8)) + eighths[filled % 8]!;
  return text.padEnd(barWidth, '·');
}

/** Two texts in columns, wrapped at words. */
export function sideBySide(
  titles: readonly [string, string],
  texts: readonly [string, string],
  width: number,
): string {
  const column = Math.max(20, Math.floor((width - 3) / 2));
  const [left, right] = texts.map((text) => wrap(text, column));
  const rows = Array.from({ length: Math.max(left!.length, right!.length) }, (_, i) =>
    `${(left![i] ?? '').padEnd(column)} │ ${right![i] ?? ''}`.trimEnd(),
  );
  return `${titles[0].padEnd(column)} │ ${titles[1]}\n${rows.join('\n')}\n`;
}

function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [''];
    for (const word of paragraph.split(/\s+/)) {
      const line = lines.at(-1)!;
      if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
      else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
    }
    return lines;
  });
}
