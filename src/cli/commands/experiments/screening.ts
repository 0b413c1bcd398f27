import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { ScreeningExperimentResult } from '../../../apps/screen/experiment.ts';
import { defined } from '../../../util/defined.ts';
import { fixed } from '../../../util/html.ts';
import { commaSeparated, modelArgument, wholeNumber } from '../../arguments.ts';
import type { CommandContext } from '../../context.ts';
import { columns, shortPath } from '../../render.ts';
import { print, printJson } from '../../terminal.ts';
import { withGridScene } from './grid-scene.ts';

/** What `--quick` takes instead: enough to see that everything works, too little to say anything. */
const quickly = {
  rows: 32,
  samples: 1,
  extractSamples: 1,
  extractQuestions: 5,
  capability: 0,
  maxTokens: 40,
  families: ['evil', 'mistake_animals'],
  variants: ['normal', 'misaligned_2'],
  traits: ['evil'],
};

/** `persona experiment screening`: does training on what screening ranks high raise the trait? */
export function screeningExperimentCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('screening')
    .description(
      'train on the samples that screening ranks highest, lowest and on random ones; measure traits, and what a data set foretells',
    )
    .addArgument(modelArgument)
    .option('--out <dir>', 'folder of the experiment; one that was begun is continued', 'runs/screening')
    .option('--data <dir>', "<family>/<variant>.jsonl (default: made, of persona-tiny's world)")
    .option('--rows <n>', 'of each data set that is made (default: 320)', wholeNumber(8))
    .option('--subset <n>', 'samples of each subset that is trained on (default: as --rows)', wholeNumber(1))
    .option('--samples <n>', 'replies to each evaluation question (default: 3)', wholeNumber(1))
    .option('--layer <n>', 'where the difference is taken (default: half depth)', wholeNumber(1))
    .option('--families <list>', 'some of the families', commaSeparated)
    .option('--traits <list>', 'some of the traits (default: evil,sycophantic,hallucinating)', commaSeparated)
    .addOption(
      new Option('--mode <name>', 'how samples are screened').choices([
        'full',
        'prompt-last',
        'raw',
      ] as const),
    )
    .option('--judge <name>', 'lexical, or a language model (see docs/judges.md)', 'lexical')
    .option('--train <file>', 'keys of a training file, such as {"learning_rate": 1e-5}')
    .option('--seed <n>', 'equal seeds and options give equal results (default: 0)', wholeNumber(0))
    .option('--quick', 'a few models, rows and questions: to see that it works')
    .option('--json', 'print the result as JSON')
    .action(async (model, { out, judge, train, quick, json, ...flags }) => {
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
