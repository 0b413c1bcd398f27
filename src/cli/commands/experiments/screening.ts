import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { SampleMode } from '../../../apps/screen/score.ts';
import type { ScreeningExperimentResult } from '../../../apps/screen/experiment.ts';
import { defined } from '../../../util/defined.ts';
import { fixed } from '../../../util/html.ts';
import { commaSeparated, modelArgument, wholeNumber } from '../../arguments.ts';
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

type Flags = GridFlags & {
  readonly subset?: number | undefined;
  readonly mode?: SampleMode | undefined;
};

/** With `--quick`. */
const quickly = {
  ...quickGrid,
  rows: 32,
  capability: 0,
  maxTokens: 40,
  variants: ['normal', 'misaligned_2'],
  traits: ['evil'],
};

/** `persona experiment screening`: does training on what screening ranks high raise the trait? */
export function screeningExperimentCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('screening')
    .description(
      'train on the samples that screening ranks highest, lowest and on random ones; measure traits, and what a data set foretells',
    )
    .addArgument(modelArgument);
  addOptions(command, [
    ...gridDataFlags('runs/screening'),
    new Option('--subset <n>', 'samples of each subset that is trained on (default: as --rows)').argParser(
      wholeNumber(1),
    ),
    ...gridMeasureFlags('where the difference is taken'),
    new Option('--traits <list>', 'some of the traits (default: evil,sycophantic,hallucinating)').argParser(
      commaSeparated,
    ),
    new Option('--mode <name>', 'how samples are screened').choices([
      'full',
      'prompt-last',
      'raw',
    ] satisfies SampleMode[]),
    ...gridRunFlags(),
  ]);
  return command.action(async (model) => {
    const { out, judge, train, quick, json, ...flags } = command.opts() as unknown as Flags;
    const { screeningExperiment } = await import('../../../apps/screen/experiment.ts');
    const result = await withGridScene({ judge, train }, (scene) =>
      screeningExperiment({
        traits: ['evil', 'sycophantic', 'hallucinating'],
        capability: 0,
        ...(quick === true ? quickly : {}),
        ...defined({ ...flags, train: scene.train }),
        model,
        out,
        judges: scene.judges,
        signal,
        onProgress: scene.onProgress,
      }),
    );
    if (json === true) printJson(result);
    else print(describeResult(result, out));
  });
}

function describeResult({ mode, layer, subset, traits }: ScreeningExperimentResult, out: string): string {
  const score = ({ score: mean, interval }: ScreeningExperimentResult['traits'][number]['base']): string =>
    interval === null
      ? fixed(mean, 1)
      : `${fixed(mean, 1)} (${fixed(interval.lower, 1)} … ${fixed(interval.upper, 1)})`;
  const rows = traits.map(({ name, base, subsets: { high, random, low }, r, others }) => [
    name,
    ...[base, high, random, low].map(score),
    fixed(r, 2),
    fixed(others, 2),
  ]);
  const sets = traits[0]?.sets.length ?? 0;
  return [
    `Mean trait scores before and after training on ${subset} samples each, screened in mode ${mode} at layer ${layer};\n`,
    `r of a data set's mean difference with the score after training on it, over ${sets} data sets:\n\n`,
    columns([['trait', 'base', 'high', 'random', 'low', 'r', 'r, others’ data'], ...rows], [0]),
    `\nresults  ${shortPath(`${out}/screening.json`)}\n`,
  ].join('');
}
