import { join } from 'node:path';
import type { ScreenResult } from '../apps/screen/screen.ts';
import type { ScreenTrait } from '../store/screen-schema.ts';
import { columns, shortPath, table } from './render.ts';

/** A screening as a person reads it. */
export async function describeScreening({ folder, manifest }: ScreenResult): Promise<string> {
  const { counts, traits, mode } = manifest;
  const number = (value: number | null): string =>
    value === null ? '–' : value.toFixed(3).replace('-', '−');
  const head = ['trait', 'layer', 'mean difference', '95 % interval', 'flagged from', 'flagged'];
  const judged = traits.some(({ known }) => known !== null);
  const rows = traits
    .toSorted((a, b) => (b.difference.mean ?? 0) - (a.difference.mean ?? 0))
    .map(({ name, layer, difference: { mean, lower, upper }, threshold, flagged, known }) => [
      name,
      String(layer),
      number(mean),
      `${number(lower)} … ${number(upper)}`,
      number(threshold),
      String(flagged),
      ...(judged
        ? [known === null ? '–' : `${known.flagged} of ${known.rows}`, number(known?.auroc ?? null)]
        : []),
    ]);
  const left = (['empty', 'long', 'refused', 'bad'] as const).reduce(
    (sum, name) => sum + (counts[name] ?? 0),
    0,
  );
  return `${columns([judged ? [...head, 'known ones', 'AUROC'] : head, ...rows], [0])}\n${table([
    ['rows', `${counts['rows'] ?? 0}, taken for ${manifest.schema_of_rows}`],
    ['samples', `${counts['samples'] ?? 0} screened in mode ${mode}, ${left} left out`],
    ...autoLines(manifest),
    ...traits.flatMap(judgeLines),
    ['flagged', `${counts['flagged'] ?? 0} for one trait or more`],
    ['highest', await highest(folder, manifest)],
    ['run folder', shortPath(folder)],
    ['report', shortPath(join(folder, 'report.html'))],
  ])}`;
}

function autoLines({ auto, counts }: ScreenResult['manifest']): [string, string][] {
  if (auto === null) return [];
  const ran = auto.control + auto.near;
  const agreements = auto.traits.map(
    ({ name, agreement, control_flagged: flagged, control_missed: missed }) =>
      `${name} ${(100 * agreement).toFixed(1)} % (${missed} of ${flagged} flagged ones missed)`,
  );
  return [
    [
      'mode full',
      `${ran} of ${counts['samples'] ?? 0} samples, ${auto.control} a random control; ${(100 * auto.saved).toFixed(0)} % of the replies saved`,
    ],
    ['agreement', `with mode full on the control: ${agreements.join(', ')}`],
  ];
}

function judgeLines({ name, judge }: ScreenTrait): [string, string][] {
  if (judge === null) return [];
  const { by_judge: judged, by_difference: different, by_both: both, unscored, threshold, known } = judge;
  const found = known === null ? '' : `; AUROC of its scores ${known.auroc.toFixed(3)}`;
  const none = unscored === 0 ? '' : `, ${unscored} not scored`;
  return [
    [
      `judge, ${name}`,
      `${judged} flagged from a score of ${threshold.toFixed(1)} on, ${different} by the difference, ${both} by both${none}${found}`,
    ],
  ];
}

/** What the highest sample of the first trait begins with. */
async function highest(folder: string, { traits }: ScreenResult['manifest']): Promise<string> {
  const [{ extremeFile }, { readFile }] = await Promise.all([
    import('../store/screen-folder.ts'),
    import('node:fs/promises'),
  ]);
  const text = await readFile(join(folder, extremeFile('top', traits[0]!.name)), 'utf8');
  const { id, messages } = JSON.parse(text.slice(0, text.indexOf('\n'))) as {
    readonly id: string;
    readonly messages: readonly { readonly content: string }[];
  };
  return `${traits[0]!.name}: ${id}, ${JSON.stringify(messages.at(-1)!.content.slice(0, 60))}`;
}
