import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { defined } from '../../util/defined.ts';
import { shortPath } from '../render.ts';
import { print, printJson } from '../terminal.ts';

/** `persona rollouts`: a run's rollouts as the two CSV files that the authors' programs write and read. */
export function rolloutsCommand(): CommandUnknownOpts {
  return new Command('rollouts')
    .argument('<run>', 'folder of a run')
    .option(
      '--out <dir>',
      'folder for {trait}_pos_instruct.csv and {trait}_neg_instruct.csv (default: the run)',
    )
    .option('--model <model>', 'the model of the run, whose prompts are spelled out')
    .option('--json', 'print the result as JSON')
    .action(async (run, { out, model, json }) => {
      const { exportRollouts } = await import('../../apps/export-rollouts.ts');
      const files = await exportRollouts({ run, ...defined({ out, model }) });
      if (json === true) printJson({ files });
      else print(files.map(shortPath).join('\n'));
    });
}
