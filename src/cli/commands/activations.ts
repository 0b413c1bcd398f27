import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { poolings } from '../../engine/types.ts';
import { defined } from '../../util/defined.ts';
import {
  adapterOption,
  blockOption,
  dtypeOption,
  modelArgument,
  namesOf,
  wholeNumber,
} from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { dryRunOption, noMeasureOption, printEstimate, rateOption, toRateOptions } from '../dry-run.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { print, printJson } from '../terminal.ts';

/** `persona activations`: pooled residual streams of given texts, to a safetensors file. */
export function activationsCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('activations')
    .addArgument(modelArgument)
    .requiredOption(
      '--input <file>',
      'JSON lines: {"ids", "response_start"}, {"messages"} or {"prompt", "answer"}',
    )
    .requiredOption('--out <file>', 'safetensors file to write: one tensor [rows, L+1, width] a pooling')
    .addOption(
      new Option('--pool <names>', `any of ${poolings.join(', ')}`)
        .argParser(namesOf(poolings))
        .default(['response_mean' as const], 'response_mean'),
    )
    .addOption(adapterOption)
    .addOption(dtypeOption)
    .addOption(blockOption)
    .addOption(
      new Option(
        '--batch-tokens <n>',
        'most padded tokens in a batch; changes memory, not results',
      ).argParser(wholeNumber(1)),
    )
    .addOption(dryRunOption)
    .addOption(rateOption)
    .addOption(noMeasureOption)
    .option('--json', 'print what was written as JSON')
    .action(async (model, { input, out, json, block: blockSize, dryRun, rate, measure, ...options }) => {
      if (dryRun === true) {
        const { estimateActivations } = await import('../../apps/estimate-activations.ts');
        const { pool, adapter, dtype } = options;
        const settings = {
          ...toRateOptions({ rate, measure }),
          ...defined({ pool, adapter, dtype, blockSize, signal }),
        };
        printEstimate(await estimateActivations({ ...settings, model, input, output: out }), json === true);
        return;
      }
      const { activations } = await import('../../apps/activations.ts');
      const progress = createProgress({ unit: 'rows' });
      const onProgress = (done: number, total: number): void => progress.update('activations', done, total);
      try {
        const result = await activations({
          ...defined({ ...options, blockSize }),
          onNotice: (line) => noteBeside(progress, line),
          model,
          input,
          output: out,
          signal,
          onProgress,
        });
        progress.end();
        if (json === true) printJson(result);
        else print(`${result.output}: ${result.poolings.join(', ')} [${result.shape.join(', ')}] F32\n`);
      } finally {
        progress.end();
      }
    });
}
