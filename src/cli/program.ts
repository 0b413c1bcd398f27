import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { readFileSync } from 'node:fs';
import { devices } from '../engine/device-name.ts';
import { commandGroups, needsAll } from './command-list.ts';
import type { CommandContext } from './context.ts';
import { reportFailure } from './failure.ts';
import { translateOfficialFlags } from './official-flags.ts';
import { listenForStop } from './stop.ts';
import { guardStreams } from './terminal.ts';

const description = `Finds the direction of a character trait in a language model, and steers by it.

MODEL is a folder in Hugging Face layout, a GGUF file, or owner/name[@revision] in the local Hugging Face cache.
Results go to standard output, everything else to standard error.
Exit codes: 0 done, 2 a bad input (one sentence says which), 3 an alert (monitor --fail-on-alert), 4 some experiments of reproduce gave no result, 130 stopped by Ctrl-C, 1 a fault of persona itself.`;

/**
 * Runs one command line, without the program's own name, and returns the exit code.
 * Commands import the engine when they run, so that help and refusals come at once.
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  guardStreams();
  const stop = listenForStop();
  try {
    const given = translateOfficialFlags(args);
    const program = buildProgram();
    await addCommands(program, given, { signal: stop.signal });
    await program.parseAsync(given, { from: 'user' });
    return 0;
  } catch (error) {
    return reportFailure(error, { debug: args.includes('--debug'), stop });
  } finally {
    stop.release();
  }
}

function buildProgram(): CommandUnknownOpts {
  return (
    new Command('persona')
      .description(description)
      .version(packageVersion(), '-V, --version', 'print the version')
      .option('--debug', 'show where an error came from')
      .addOption(
        new Option(
          '--device <name>',
          'what computes models (default: PERSONA_DEVICE, else cpu); see docs/devices.md',
        ).choices(devices),
      )
      // Whatever loads a model in this process, or in a thread of it, takes its device from there.
      .hook('preAction', (self) => {
        const { device } = self.opts() as { readonly device?: string };
        if (device !== undefined) process.env['PERSONA_DEVICE'] = device;
      })
      .helpCommand(false)
      // What a command takes is in its own help.
      .configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => command.name() })
      // Refusals are printed in one place, and never end the process from within.
      .exitOverride()
      .configureOutput({ outputError: () => undefined })
  );
}

/**
 * Adds all commands under their headings: the one that is called for as it is, the others by name and description alone, since each
 * file that is loaded for nothing is waited for.
 */
async function addCommands(
  program: CommandUnknownOpts,
  args: readonly string[],
  context: CommandContext,
): Promise<void> {
  const listed = Object.entries(commandGroups).flatMap(([heading, entries]) =>
    entries.map((entry) => ({ heading, ...entry })),
  );
  const called = args.find((word) => listed.some(({ name }) => name === word));
  for (const { heading, name, description, load } of listed) {
    const isCalled = name === called || needsAll.includes(called ?? '');
    const command = isCalled ? (await load())(context) : new Command(name);
    command.description(description).helpGroup(`${heading}:`);
    program.addCommand(command.copyInheritedSettings(program));
    for (const below of command.commands) below.copyInheritedSettings(command);
  }
}

/** The version in package.json, which lies two folders up from src/cli and from dist/cli alike. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
