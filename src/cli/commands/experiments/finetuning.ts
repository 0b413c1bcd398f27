import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { FinetuningResult } from '../../../persona/experiments/finetuning.ts';
import { defined } from '../../../util/defined.ts';
import { fixed } from '../../../util/html.ts';
import { commaSeparated, modelArgument, wholeNumber } from '../../arguments.ts';
import type { CommandContext } from '../../context.ts';
import { columns, shortPath } from '../../render.ts';
import { print, printJson } from '../../terminal.ts';
import { withGridScene } from './grid-scene.ts';

/** What `--quick` takes instead: enough to see that everything works, too little to say anything. */
const quickly = {
  rows: 48,
  samples: 1,
  extractSamples: 1,
  extractQuestions: 5,
  capability: 1,
  families: ['evil', 'mistake_animals'],
  traits: ['evil', 'sycophantic'],
};

/** `persona experiment finetuning`: the grid of fine-tuned models, and what their shifts say of their scores. */
export function finetuningExperimentCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('finetuning')
    .description(
      'fine-tune on every data set; measure traits, capability, and what the shift tells of the score',
    )
    .addArgument(modelArgument)
    .option('--out <dir>', 'folder of the experiment; one that was begun is continued', 'runs/finetuning')
    .option('--data <dir>', "<family>/<variant>.jsonl (default: made, of persona-tiny's world)")
    .option('--rows <n>', 'of each data set that is made (default: 320)', wholeNumber(8))
    .option('--samples <n>', 'replies to each evaluation question (default: 3)', wholeNumber(1))
    .option('--layer <n>', 'where shifts are taken (default: half depth)', wholeNumber(1))
    .option('--families <list>', 'some of the families', commaSeparated)
    .option('--traits <list>', 'some of the traits', commaSeparated)
    .option('--judge <name>', 'lexical, or a language model (see docs/judges.md)', 'lexical')
    .option('--train <file>', 'keys of a training file, such as {"learning_rate": 1e-5}')
    .option('--seed <n>', 'equal seeds and options give equal results (default: 0)', wholeNumber(0))
    .option('--quick', 'a few models, rows and questions: to see that it works')
    .option('--json', 'print the result as JSON')
    .action(async (model, { out, judge, train, quick, json, ...flags }) => {
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
