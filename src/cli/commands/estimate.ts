import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../../errors.ts';

function hasDryRun({ options }: CommandUnknownOpts): boolean {
  return options.some(({ long }) => long === '--dry-run');
}

/** `persona estimate COMMAND …`: the command as it stands, with `--dry-run`. */
export function estimateCommand(
  commands: readonly CommandUnknownOpts[],
  run: (args: readonly string[]) => Promise<void>,
): CommandUnknownOpts {
  const names = commands
    .filter((command) => [command, ...command.commands].some(hasDryRun))
    .map((command) => command.name());
  return (
    new Command('estimate')
      .description('say what a command would take: tokens, time, memory, disk, judge calls and their cost')
      .usage('<command> [arguments and flags of the command]')
      .argument('<command>', `${names.join(', ')}, with its own arguments and flags`)
      .argument('[args...]')
      .helpOption(false)
      // What follows the name is the named command's to understand, its --help too.
      .allowUnknownOption()
      .action(async (name, args, _, command) => {
        if (name === '--help' || name === '-h') {
          command.outputHelp();
          return;
        }
        if (!names.includes(name)) {
          throw new UsageError(
            `Expected one of the commands ${names.join(', ')} to estimate, got ${JSON.stringify(name)}.`,
          );
        }
        await run([name, ...args, '--dry-run']);
      })
  );
}
