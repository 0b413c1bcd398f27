import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { FinetuningResult } from '../../../persona/experiments/finetuning.ts';
import { defined } from '../../../util/defined.ts';
import { fixed } from '../../../util/html.ts';
import { commaSeparated, modelArgument } from '../../arguments.ts';
import type { CommandContext } from '../../context.ts';
import { addOptions } from '../../extract-flags.ts';
import { columns, shortPath } from '../../render.ts';
import { print, printJson } from '../../terminal.ts';
import {
  gridDataFlags,
  type GridFlags,
  gridMeasureFlags,
  gridRunFlags,
  quickGrid,
  withGridScene,
} from './grid-scene.ts';

/** With `--quick`. */
const quickly = { ...quickGrid, rows: 48, capability: 1, traits: ['evil', 'sycophantic'] };

/** `persona experiment finetuning`: the grid of fine-tuned models, and what their shifts say of their scores. */
export function finetuningExperimentCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('finetuning')
    .description(
      'fine-tune on every data set; measure traits, capability, and what the shift tells of the score',
    )
    .addArgument(modelArgument);
  addOptions(command, [
    ...gridDataFlags('runs/finetuning'),
    ...gridMeasureFlags('where shifts are taken'),
    new Option('--traits <list>', 'some of the traits').argParser(commaSeparated),
    ...gridRunFlags(),
  ]);
  return command.action(async (model) => {
    const { out, judge, train, quick, json, ...flags } = command.opts() as unknown as GridFlags;
    const [{ finetuningExperiment }, { writeFinetuningReport }] = await Promise.all([
      import('../../../persona/experiments/finetuning.ts'),
      import('../../../persona/experiments/finetuning-report.ts'),
    ]);
    const result = await withGridScene({ judge, train }, (scene) =>
      finetuningExperiment({
        ...(quick === true ? quickly : {}),
        ...defined({ ...flags, train: scene.train }),
        model,
        out,
        judges: scene.judges,
        signal,
        onProgress: scene.onProgress,
      }),
    );
    const report = await writeFinetuningReport(out, result);
    if (json === true) printJson(result);
    else print(describeGrid(result, report));
  });
}

function describeGrid({ layer, models, traits, correlations }: FinetuningResult, report: string): string {
  const heads = traits.map((trait) => trait.slice(0, 6));
  const rows = models.map((one) => [
    one.name,
    ...traits.map((trait) => fixed(one.scores[trait]!.score, 0)),
    fixed(one.coherence, 0),
    one.capability?.accuracy == null ? '–' : `${fixed(100 * one.capability.accuracy)} %`,
  ]);
  const matrix = traits.map((shift) => [
    shift,
    ...traits.map((behaviour) =>
      fixed(correlations.find((one) => one.shift === shift && one.behaviour === behaviour)!.r, 2),
    ),
    fixed(correlations.find((one) => one.shift === shift && one.behaviour === shift)!.others, 2),
  ]);
  return [
    'Mean trait scores of each model, its coherence and its capability:\n\n',
    columns([['model', ...heads, 'coherence', 'capability'], ...rows], [0]),
    `\nr of shift (rows, layer ${layer}) and score (columns) over ${models.length - 1} models; last, the trait's own without its own data:\n\n`,
    columns([['shift', ...heads, 'others'], ...matrix], [0]),
    `\nreport  ${shortPath(report)}\n`,
  ].join('');
}
