import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { wholeNumber } from '../arguments.ts';
import { shortPath } from '../render.ts';
import { print, printJson } from '../terminal.ts';

/** `persona datasets`: the fine-tuning sets of persona-tiny's world. */
export function datasetsCommand(): CommandUnknownOpts {
  return new Command('datasets')
    .argument('<folder>', 'where <family>/{normal,misaligned_1,misaligned_2}.jsonl are written')
    .option('--rows <n>', 'of each set', wholeNumber(1, 1_000_000), 320)
    .option('--seed <n>', 'equal seeds give equal files', wholeNumber(0), 1)
    .option('--json', 'print what was written as JSON')
    .action(async (folder, { rows, seed, json }) => {
      const { writeDataSets } = await import('../../apps/data-sets.ts');
      const written = await writeDataSets(folder, { rows, seed });
      if (json === true) printJson(written);
      else print(written.map(({ file, rows: count }) => `${shortPath(file)}: ${count} rows\n`).join(''));
    });
}
