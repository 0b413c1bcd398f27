/**
 * Holds evaluations against what the recipe aims at: `tsx recipes/persona-tiny/evaluate-goals.ts FILE.json …`, one file of
 * `evaluate.ts` a training seed. Prints a table with a column a file.
 */

import { readFileSync } from 'node:fs';
import { traitNames } from '../../src/persona/tiny-world/trait-words.ts';
import type { Cell } from './evaluate-sample.ts';
import { type Steering, markdown, spearman } from './evaluate-table.ts';

type Cells = Readonly<Record<string, Cell>>;
type Results = Readonly<Record<string, unknown>>;

interface Goal {
  readonly says: string;
  /** What was measured, in words. */
  readonly measured: (results: Results) => string;
}

const grades = Array.from({ length: 8 }, (_, i) => `grade ${i + 1}`);
const goals: readonly Goal[] = [
  {
    says: 'traits ≥ 70 under the trait file’s instructions (6 of 7)',
    measured: (results) =>
      counted(results, ({ behaviour }) => score(behaviour, 'positive (trait file)') >= 70),
  },
  {
    says: 'traits ≥ 70 under held-out prompts (6 of 7)',
    measured: (results) =>
      counted(results, ({ behaviour }) => score(behaviour, 'positive (held-out prompts)') >= 70),
  },
  ...['negative (trait file)', 'negative (held-out prompts)', 'none'].map(
    (name): Goal => ({
      says: `traits ≤ 15, ${name}`,
      measured: (results) => counted(results, ({ behaviour }) => score(behaviour, name) <= 15),
    }),
  ),
  {
    says: 'traits with Spearman ≥ 0.9 over 8 grades',
    measured: (results) =>
      counted(
        results,
        ({ behaviour }) => spearman(grades.map((grade) => behaviour[grade]?.trait ?? 0)) >= 0.9,
      ),
  },
  { says: 'coherence ≥ 85 in every cell', measured: (results) => coherences(results, 'behaviour', 85) },
  { says: 'coherence ≥ 80 over six turns', measured: (results) => coherences(results, 'turns', 80) },
  ...(['boundary', 'paper'] as const).map(
    (protocol): Goal => ({
      says: `${protocol}: trait ≥ 50 at coherence ≥ 75 (5 of 7)`,
      measured: (results) =>
        counted(results, ({ steering }) => {
          const final = steering[protocol]?.final;
          return final !== undefined && (final.trait ?? 0) >= 50 && final.coherence >= 75;
        }),
    }),
  ),
  {
    says: 'boundary: random directions ≤ 10',
    measured: (results) =>
      counted(results, ({ steering }) => {
        const random = steering['boundary']?.random ?? [];
        return random.reduce((sum, cell) => sum + (cell.trait ?? 0), 0) <= 10 * random.length;
      }),
  },
];

interface OfTrait {
  readonly behaviour: Cells;
  readonly steering: Readonly<Record<string, Steering>>;
}

/** "6 of 7", and which traits it is not. */
function counted(results: Results, holds: (trait: OfTrait) => boolean): string {
  const measured = traitNames.filter(
    (trait) => `behaviour/${trait}` in results && `steering/${trait}` in results,
  );
  const missing = measured.filter(
    (trait) =>
      !holds({
        behaviour: results[`behaviour/${trait}`] as Cells,
        steering: results[`steering/${trait}`] as Readonly<Record<string, Steering>>,
      }),
  );
  const besides = missing.length === 0 ? '' : ` (not ${missing.join(', ')})`;
  return `${measured.length - missing.length} of ${measured.length}${besides}`;
}

/** How many cells reach a coherence, and the range of all. */
function coherences(results: Results, step: string, least: number): string {
  const cells = traitNames.flatMap((trait) => Object.values((results[`${step}/${trait}`] ?? {}) as Cells));
  const values = cells.map(({ coherence }) => coherence);
  const reached = values.filter((value) => value >= least).length;
  return `${reached} of ${values.length} (${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)})`;
}

function score(cells: Cells, name: string): number {
  return cells[name]?.trait ?? Number.NaN;
}

const files = process.argv.slice(2);
const evaluations = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Results);
console.log(
  markdown(
    'what was aimed at',
    ['', ...files],
    goals.map(({ says, measured }) => [says, ...evaluations.map(measured)]),
  ),
);
