import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../../errors.ts';

/** `persona estimate COMMAND …`: the command as it stands, with `--dry-run`. */
export function estimateCommand(): CommandUnknownOpts {
  return (
    new Command('estimate')
      .usage('<command> [arguments and flags of the command]')
      .argument('<command>', 'one of those below, with its own arguments and flags')
      .argument('[args...]')
      .addHelpText('after', ({ command }) => `\nCommands: ${dryRunners(command).join(', ')}`)
      .helpOption(false)
      // What follows the name is the named command's to understand, its --help too.
      .allowUnknownOption()
      .action(async (name, args, _, command) => {
        if (name === '--help' || name === '-h') {
          command.outputHelp();
          return;
        }
        const names = dryRunners(command);
        if (!names.includes(name)) {
          throw new UsageError(
            `Expected one of the commands ${names.join(', ')} to estimate, got ${JSON.stringify(name)}.`,
          );
        }
        await command.parent!.parseAsync([name, ...args, '--dry-run'], { from: 'user' });
      })
  );
}

/** Names of the commands beside it that can say what they would take. */
function dryRunners({ parent }: { readonly parent: CommandUnknownOpts | null }): string[] {
  const hasDryRun = ({ options }: CommandUnknownOpts): boolean =>
    options.some(({ long }) => long === '--dry-run');
  return parent!.commands
    .filter((command) => [command, ...command.commands].some(hasDryRun))
    .map((command) => command.name());
}
