import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { print, printJson } from '../terminal.ts';

/** `persona report`: what a run found, on the terminal and as a page. */
export function reportCommand(): CommandUnknownOpts {
  return new Command('report')
    .argument('<run>', 'folder of a finished run')
    .option('--with <vectors...>', 'other vectors, as files or run folders, for a matrix of cosines')
    .option('--json', 'print the result as JSON')
    .action(async (run, { with: others, json }) => {
      const [{ readRun, writeReport }, { describeRun, runSummary }] = await Promise.all([
        import('../../apps/run-report.ts'),
        import('../run-result.ts'),
      ]);
      const data = await readRun(run, others);
      const report = await writeReport(data);
      if (json === true) printJson(runSummary(data, report));
      else print(describeRun(data, report));
    });
}
