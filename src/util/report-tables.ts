import { type SafeHtml, fixed, html } from './html.ts';

/** A cell of a table: text, or HTML that is safe already. */
export type TableCell = SafeHtml | string;

/**
 * A table with a line below every row.
 *
 * @param text Columns, from the left, that hold text; the others hold numbers and stand at their right ends.
 */
export function plainTable(
  head: readonly string[],
  rows: readonly (readonly TableCell[])[],
  text: number = 1,
): SafeHtml {
  const cell = (value: TableCell, i: number): SafeHtml =>
    i < text ? html`<td>${value}</td>` : html`<td class="number">${value}</td>`;
  return html`<table class="plain"><thead><tr>${head.map((name, i) => (i < text ? html`<th>${name}</th>` : html`<th class="number">${name}</th>`))}</tr></thead><tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody></table>`;
}

export interface MatrixOptions {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** From −1 to 1, such as correlations or cosines; null where there is none. */
  readonly value: (row: number, column: number) => number | null;
  /** Small print below a number. */
  readonly below?: (row: number, column: number) => string;
}

/** Numbers from −1 to 1 in rows and columns, coloured by sign and size. */
export function matrixTable({ rows, columns, value, below }: MatrixOptions): SafeHtml {
  const cell = (i: number, j: number): SafeHtml => {
    const number = value(i, j);
    const depth = Math.min(1, Math.abs(number ?? 0)).toFixed(2);
    return html`<td class="${(number ?? 0) >= 0 ? 'up' : 'down'}" style="--depth:${depth}">${fixed(number, 2)}${below === undefined ? null : html`<small>${below(i, j)}</small>`}</td>`;
  };
  return html`<table class="heat matrix"><thead><tr><th></th>${columns.map((name) => html`<th><bdi>${name}</bdi></th>`)}</tr></thead>
<tbody>${rows.map((name, i) => html`<tr><th><bdi>${name}</bdi></th>${columns.map((_, j) => cell(i, j))}</tr>`)}</tbody></table>`;
}
