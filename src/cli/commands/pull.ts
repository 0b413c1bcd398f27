import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { PulledModel } from '../../apps/pull.ts';
import { defined } from '../../util/defined.ts';
import type { CommandContext } from '../context.ts';
import { dryRunOption, printEstimate } from '../dry-run.ts';
import { showBytes } from '../bytes-progress.ts';
import { bytes } from '../render.ts';
import { note, print, printable, printJson } from '../terminal.ts';

/** `persona pull`: downloads a model into the Hugging Face cache. */
export function pullCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('pull')
    .argument('<repo>', 'owner/name or owner/name@revision on the Hugging Face Hub')
    .option('--allow <glob...>', 'files to download instead of those that a model needs, such as "*.json"')
    .addOption(dryRunOption)
    .option('--json', 'print repo, commit, folder and files as JSON')
    .addHelpText('after', environmentHelp)
    .action(async (repo, { allow, dryRun, json }) => {
      if (dryRun === true) {
        const { estimatePull } = await import('../../apps/estimate-pull.ts');
        printEstimate(
          await estimatePull(repo, { ...defined({ allow }), signal, onNote: note }),
          json === true,
        );
        return;
      }
      const { pull } = await import('../../apps/pull.ts');
      const shown = showBytes();
      try {
        const result = await pull(repo, {
          ...defined({ allow }),
          signal,
          onProgress: shown.update,
          onNote: shown.note,
        });
        shown.end();
        if (json === true) printJson(result);
        else printResult(result);
      } finally {
        shown.end();
      }
    });
}

const environmentHelp = `
Environment, as Hugging Face's own tools read it:
  HF_TOKEN        token for private and gated models; sent to the Hub's own host only
  HF_ENDPOINT     another Hub
  HF_HUB_CACHE    where models are kept (default: HF_HOME/hub, ~/.cache/huggingface/hub)
  HF_HUB_OFFLINE  1 downloads nothing, and says where the cache has the model`;

function printResult({ repo, revision, commit, folder, files, fetchedBytes }: PulledModel): void {
  if (files === null) {
    note(
      `offline: found ${repo}@${revision} (${commit.slice(0, 12)}) in the cache, not compared with the Hub`,
    );
  } else {
    const fetched = files.filter((file) => file.fetched).length;
    const had = files.length - fetched;
    const parts = [
      ...(fetched > 0 ? [`${count(fetched)} downloaded (${bytes(fetchedBytes)})`] : []),
      ...(had > 0 ? [`${count(had)} in the cache already`] : []),
    ];
    note(`${repo}@${revision} (${commit.slice(0, 12)}): ${parts.join(', ')}, all checked by hash`);
  }
  print(`${printable(folder)}\n`);
}

function count(files: number): string {
  return files === 1 ? '1 file' : `${files} files`;
}
