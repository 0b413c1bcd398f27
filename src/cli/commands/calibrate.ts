import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { modelArgument } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { dryRunFlags } from '../dry-run.ts';
import { addOptions } from '../extract-flags.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { columns } from '../render.ts';
import { print, printJson } from '../terminal.ts';
import {
  estimateWatched,
  onBadConversation,
  openWatched,
  skipBadOption,
  type WatchFileFlags,
  watchFlags,
} from '../watch-flags.ts';

/** `persona calibrate`: how ordinary conversations project on vectors. */
export function calibrateCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('calibrate')
    .addArgument(modelArgument)
    .requiredOption('--input <file>', 'ordinary conversations: OpenAI, ShareGPT or assistant-axis')
    .option('--out <file>', 'the baseline to write', 'baseline.json');
  addOptions(command, [...watchFlags(), skipBadOption, ...dryRunFlags]);
  return command.option('--json', 'print the baseline as JSON').action(async (modelName) => {
    const flags = command.opts() as unknown as WatchFileFlags;
    if (flags.dryRun === true) {
      await estimateWatched('calibrate', modelName, flags);
      return;
    }
    const progress = createProgress({ unit: 'conversations' });
    const tell = (line: string): void => noteBeside(progress, line);
    const { model, watched } = await openWatched(modelName, flags, tell);
    try {
      const { calibrateBaseline } = await import('../../apps/calibrate-baseline.ts');
      const baseline = await calibrateBaseline({
        model,
        watched,
        input: flags.input,
        output: flags.out,
        onBad: onBadConversation(flags.skipBad === true, tell),
        signal,
        onProgress: (done) => progress.update('conversations', done, Infinity),
      });
      progress.end();
      if (flags.json === true) {
        printJson(baseline);
        return;
      }
      const rows = baseline.vectors.flatMap(({ name, layer, places }) =>
        (['prompt_last', 'response_mean', 'response_token'] as const).map((place) => {
          const { count, mean, sd, percentiles } = places[place];
          const at = (percent: number): string => percentiles[2 * percent]!.toFixed(2);
          return [
            name,
            String(layer),
            place,
            String(count),
            mean.toFixed(2),
            sd.toFixed(2),
            at(5),
            at(50),
            at(95),
          ];
        }),
      );
      const header = ['vector', 'layer', 'place', 'count', 'mean', 'sd', '5 %', '50 %', '95 %'];
      print(columns([header, ...rows], [0, 2]));
      print(`\n${flags.out}: ${baseline.conversations} conversations, ${baseline.turns} turns\n`);
    } finally {
      progress.end();
      await model.close();
    }
  });
}
