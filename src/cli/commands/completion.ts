import { Argument, Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { completionScript, shells } from '../completion.ts';
import { print } from '../terminal.ts';

/** `persona completion`: commands and flags at the touch of a tab. */
export function completionCommand(): CommandUnknownOpts {
  const command = new Command('completion').addArgument(new Argument('<shell>', 'which one').choices(shells));
  return command.action((shell) => {
    print(completionScript(command.parent!, shell));
  });
}
