import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { defined } from '../../util/defined.ts';
import { adapterOption, decimal } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { note, print } from '../terminal.ts';

/** `persona worker`: scores parts of data sets that `persona screen --queue` puts on a Redis server. */
export function workerCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('worker')
    .argument('[models...]', 'models that this worker has, and takes parts for (default: the one that ships)')
    .requiredOption('--queue <url>', 'the Redis server, such as redis://127.0.0.1:6379')
    .addOption(adapterOption)
    .option(
      '--take-back <s>',
      'seconds of silence after which a part goes to another worker (default: 30)',
      decimal(0.5, 3600),
    )
    .action(async (models, { queue, adapter, takeBack }) => {
      const { work } = await import('../../apps/screen/queue/work.ts');
      const done = await work({
        queue,
        models: models.length === 0 ? [shippedModelFolder()] : models,
        ...defined({ adapter, takeBack }),
        onNotice: note,
        onReady: () => note('ready'),
        onPart: ({ model, run, part, samples }) =>
          note(`${run}, part ${part + 1}: ${samples} samples by ${model}`),
        signal,
      });
      print(`stopped; ${done.parts} parts with ${done.samples} samples done here\n`);
    });
}
