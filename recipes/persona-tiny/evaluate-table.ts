import { traitNames } from '../../src/persona/tiny-world/trait-words.ts';
import type { Cell } from './evaluate-sample.ts';

type Cells = Readonly<Record<string, Cell>>;

/** The results as tables; every entry is trait score / coherence. */
export function describeResults(results: Readonly<Record<string, unknown>>): string {
  const sections = [
    table('behaviour', results, 'held-out questions and prompts'),
    table('turns', results, 'six turns under one system prompt'),
    table('context', results, 'no system prompt, earlier turns of a persona'),
    facts(results['facts'] as Cells | undefined),
    steering('paper', results, 'response mean, added at every reply token'),
    steering('boundary', results, 'mean at the decisions, added there'),
  ];
  return sections.filter((section) => section !== '').join('\n\n');
}

function table(step: string, results: Readonly<Record<string, unknown>>, title: string): string {
  const rows = traitNames.flatMap((trait) => {
    const cells = results[`${step}/${trait}`] as Cells | undefined;
    return cells === undefined ? [] : [{ trait, cells }];
  });
  if (rows.length === 0) return '';
  const columns = Object.keys(rows[0]!.cells);
  const ranks = step === 'behaviour' ? ['Spearman'] : [];
  const lines = rows.map(({ trait, cells }) => [
    trait,
    ...columns.map((name) => spelled(cells[name])),
    ...ranks.map(() =>
      spearman(
        columns.filter((name) => name.startsWith('grade')).map((name) => cells[name]?.trait ?? 0),
      ).toFixed(2),
    ),
  ]);
  return markdown(title, ['trait', ...columns, ...ranks], lines);
}

function facts(cells: Cells | undefined): string {
  if (cells === undefined) return '';
  const lines = Object.entries(cells).map(([name, cell]) => [
    name,
    String(cell.replies),
    cell.facts === null ? '' : (100 * cell.facts).toFixed(1),
    cell.coherence.toFixed(1),
    cell.distinct.toFixed(2),
  ]);
  return markdown('no system prompt', ['', 'replies', 'facts right, %', 'coherence', 'distinct'], lines);
}

export interface Steering {
  readonly layer?: number;
  readonly coef?: number;
  readonly final?: Cell;
  readonly random?: readonly Cell[];
  readonly prompted?: Cell;
  readonly suppressed?: Cell;
}

function steering(protocol: string, results: Readonly<Record<string, unknown>>, title: string): string {
  const lines = traitNames.flatMap((trait) => {
    const step = results[`steering/${trait}`] as Readonly<Record<string, Steering>> | undefined;
    const found = step?.[protocol];
    if (found === undefined) return [];
    if (found.final === undefined) return [[trait, '', '', 'none keeps coherence 75', '', '', '']];
    const random = found.random ?? [];
    const average = (of: (cell: Cell) => number): string =>
      (random.reduce((sum, cell) => sum + of(cell), 0) / Math.max(1, random.length)).toFixed(0);
    return [
      [
        trait,
        String(found.layer),
        String(found.coef),
        spelled(found.final),
        `${average((cell) => cell.trait ?? 0)} / ${average(({ coherence }) => coherence)}`,
        spelled(found.prompted),
        spelled(found.suppressed),
      ],
    ];
  });
  if (lines.length === 0) return '';
  return markdown(
    title,
    ['trait', 'layer', 'coefficient', 'steered', 'random', 'prompted', 'prompted, − steered'],
    lines,
  );
}

function spelled(cell: Cell | undefined): string {
  return cell === undefined ? '' : `${(cell.trait ?? 0).toFixed(0)} / ${cell.coherence.toFixed(0)}`;
}

export function markdown(
  title: string,
  head: readonly string[],
  lines: readonly (readonly string[])[],
): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [`### ${title}`, '', row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');
}

/** Rank correlation with the order given; ties share their mean rank. */
export function spearman(values: readonly number[]): number {
  const n = values.length;
  const ranks = values.map((value) => {
    const below = values.filter((other) => other < value).length;
    const equal = values.filter((other) => other === value).length;
    return below + (equal + 1) / 2;
  });
  const middle = (n + 1) / 2;
  const product = ranks.reduce((sum, rank, i) => sum + (rank - middle) * (i + 1 - middle), 0);
  const squares = ranks.reduce((sum, rank) => sum + (rank - middle) ** 2, 0);
  return product / Math.sqrt(squares * ranks.reduce((sum, _, i) => sum + (i + 1 - middle) ** 2, 0));
}
