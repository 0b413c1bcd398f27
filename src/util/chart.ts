import { type SafeHtml, html } from './html.ts';

/** A linear scale from data to pixels. */
export type Scale = (value: number) => number;

interface Frame {
  readonly width: number;
  readonly left: number;
  readonly right: number;
}
/** The drawing area of charts that are as wide as the page. */
export const frame: Frame = { width: 880, left: 44, right: 16 };

/** Horizontal lines with their values at the left. */
export function rules(values: readonly number[], y: Scale): SafeHtml[] {
  return values.map(
    (value) =>
      html`<line class="rule" x1="${frame.left}" x2="${frame.width - frame.right}" y1="${px(y(value))}" y2="${px(y(value))}"/><text class="tick end" x="${frame.left - 8}" y="${px(y(value) + 4)}">${value}</text>`,
  );
}

/** The scale that takes `from` to `start` and `to` to `end`. */
export function linear(from: number, to: number, start: number, end: number): Scale {
  const factor = to === from ? 0 : (end - start) / (to - from);
  return (value) => start + (value - from) * factor;
}

/** A range that holds both ends in whole steps of 1, 2 or 5 times a power of ten, at most nine of them. */
export function roundRange(low: number, high: number): [number, number, number] {
  const rough = Math.max((high - low) / 7, 1e-6);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  return [Math.floor(low / step) * step, Math.ceil(high / step) * step, step];
}

/** A polyline's `d`. */
export function path(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${px(x)} ${px(y)}`).join('');
}

/** Tenths of a pixel are finer than any screen shows. */
export function px(value: number): number {
  return Math.round(value * 10) / 10;
}
