import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { defined } from '../../util/defined.ts';
import { createProgress } from '../progress.ts';
import { shortPath } from '../render.ts';
import { print, printJson } from '../terminal.ts';

const weightDtypes = ['F32', 'F16', 'BF16'] as const;

/** `persona merge`: a model with a LoRA adapter merged into its weights. */
export function mergeCommand(): CommandUnknownOpts {
  return new Command('merge')
    .argument('<model>', 'folder, GGUF file, or owner/name in the Hugging Face cache')
    .argument('<adapter>', 'LoRA adapter in PEFT layout, trained on this model')
    .requiredOption('--out <dir>', 'folder to write')
    .addOption(
      new Option('--dtype <name>', "of the weights (default: each keeps the model's own)").choices(
        weightDtypes,
      ),
    )
    .option('--json', 'print what was written as JSON')
    .action(async (model, adapter, { out, dtype, json }) => {
      const { mergeAdapter } = await import('../../training/merge-adapter.ts');
      const progress = createProgress({ unit: 'tensors' });
      try {
        const result = await mergeAdapter({
          model,
          adapter,
          output: out,
          ...defined({ dtype }),
          onProgress: (done, total) => progress.update('merging', done, total),
        });
        progress.end();
        if (json === true) printJson(result);
        else
          print(
            `${shortPath(result.output)}: ${result.tensors} tensors, ${result.merged} of them changed by the adapter\n`,
          );
      } finally {
        progress.end();
      }
    });
}
