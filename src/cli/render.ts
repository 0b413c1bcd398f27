import { relative } from 'node:path';
import { printable, resultColours } from './terminal.ts';

/** Rows of a name and a value, the values under each other. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows
    .map(([name, value]) => `${resultColours.dim(name.padEnd(width))}  ${printable(value)}\n`)
    .join('');
}

/** A number of bytes as a person says it: `1.0 MB`, `15.2 GB`. */
export function bytes(count: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return unit === 0 ? `${value} bytes` : `${value.toFixed(1)} ${units[unit]}`;
}

/** A path as it is shortest to type from here. */
export function shortPath(path: string): string {
  const here = relative(process.cwd(), path);
  return here.startsWith('..') || here === '' ? path : here;
}

/** Columns of text under each other, those of `left` aligned at their left ends and the others at their right. */
export function columns(rows: readonly (readonly string[])[], left: readonly number[] = []): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const pad = (cell: string, i: number): string =>
    left.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
  return rows.map((row) => `${row.map(pad).join('   ').trimEnd()}\n`).join('');
}

/** A share as a person reads it: `73.4 %`. */
export function percent(share: number | null): string {
  return share === null ? '–' : `${(100 * share).toFixed(1)} %`;
}

/** An interval of shares: `70.1 … 76.3 %`. */
export function percentRange(interval: { readonly lower: number; readonly upper: number } | null): string {
  if (interval === null) return '–';
  return `${(100 * interval.lower).toFixed(1)} … ${(100 * interval.upper).toFixed(1)} %`;
}
