import type { RunReport } from '../apps/run-report.ts';
import { describeDropped, describeKept } from '../persona/filter-words.ts';
import { describeFinding } from '../persona/finding.ts';
import type { Validation } from '../persona/validation-steps.ts';
import type { Cell, HeldOut, Sweep } from '../store/result-schema.ts';
import { pointTable, wrap } from './extract-result.ts';
import { columns, shortPath, table } from './render.ts';
import { printable, resultColours } from './terminal.ts';
import { describeMatrix } from './vector-result.ts';

/** A run as a terminal shows it: the same as its page, without the pictures. */
export function describeRun(data: RunReport, report: string): string {
  const { vector, validation, beside, counts, cosines } = data;
  const rows: [string, string][] = [
    ['kept', describeKept(counts)],
    ['dropped', describeDropped(counts)],
    ['judge', data.judge],
    ['report', shortPath(report)],
  ];
  const parts = [
    protocolPart(data, validation),
    ...beside.map((other) => protocolPart(data, other.validation)),
    ...(cosines === null ? [] : [describeMatrix(cosines.layer, cosines.names, cosines.values)]),
    table(rows),
  ];
  return `${printable(vector.metadata.trait)} in ${printable(vector.metadata.model)}\n\n${parts.join('\n')}`;
}

function protocolPart({ trait, vector, judge }: RunReport, validation: Validation): string {
  const { sweep, dose, heldOut, pooling, positions } = validation;
  const finding = describeFinding({ trait: trait.name, model: vector.metadata.model, judge, sweep, dose });
  const title = `${pooling}, added at ${positions}: ${finding.label}`;
  const lines = [finding.headline, ...finding.remarks].map((line) => `${wrap(printable(line))}\n`);
  return [
    `${resultColours.bold(title)}\n`,
    ...lines,
    ...(dose === null ? [] : [`\n${pointTable(dose.points)}`]),
    ...(sweep === null ? [] : [`\n${gridTable(sweep)}`]),
    ...(heldOut === null ? [] : [`\n${heldOutTable(heldOut)}`]),
  ].join('');
}

/** Score and coherence of every cell; a star at the chosen one, an exclamation mark where text breaks. */
function gridTable(sweep: Sweep): string {
  const strengths = [...new Set(sweep.trait.map(({ strength }) => strength))].sort((a, b) => a - b);
  const layers = [...new Set(sweep.trait.map(({ layer }) => layer!))].sort((a, b) => b - a);
  const at = (layer: number, strength: number): string => {
    const cell = sweep.trait.find((one) => one.layer === layer && one.strength === strength);
    return cell === undefined ? '·' : cellText(cell, sweep);
  };
  const rows = layers.map((layer) => [String(layer), ...strengths.map((strength) => at(layer, strength))]);
  const key = `score/coherence by layer and strength; * chosen, ! coherence below ${sweep.coherence_floor}, · not run`;
  return `${columns([['layer', ...strengths.map(String)], ...rows])}${key}\n`;
}

function cellText(cell: Cell, sweep: Sweep): string {
  const { score, coherence } = cell;
  const broken = (coherence ?? 0) < sweep.coherence_floor ? '!' : '';
  const chosen = cell.condition === sweep.recommended?.condition ? '*' : '';
  return `${score === null ? '–' : score.toFixed(0)}/${coherence === null ? '–' : coherence.toFixed(0)}${broken}${chosen}`;
}

function heldOutTable({ layers }: HeldOut): string {
  const rows = layers.map(({ layer, auroc, effect, correlation }) => [
    String(layer),
    interval(auroc, 3),
    interval(effect, 2),
    correlation === null ? '–' : correlation.toFixed(2),
  ]);
  return columns([['layer', 'held-out AUROC', 'effect size', 'Spearman with score'], ...rows]);
}

function interval({ value, lower, upper }: HeldOut['layers'][number]['auroc'], digits: number): string {
  if (value === null) return '–';
  if (lower === null || upper === null) return value.toFixed(digits);
  return `${value.toFixed(digits)} (${lower.toFixed(digits)} … ${upper.toFixed(digits)})`;
}

/** For programs, under the names of the run's files. */
export function runSummary(data: RunReport, report: string): Record<string, unknown> {
  const one = ({ pooling, positions, sweep, dose, heldOut }: Validation): Record<string, unknown> => ({
    pooling,
    positions,
    sweep,
    dose_response: dose,
    projections: heldOut,
  });
  return {
    folder: data.folder,
    trait: data.trait.name,
    model: data.vector.metadata.model,
    counts: data.counts,
    validations: [one(data.validation), ...data.beside.map(({ validation }) => one(validation))],
    cosines: data.cosines,
    report,
  };
}
