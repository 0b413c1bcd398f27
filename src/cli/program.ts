import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { readFileSync } from 'node:fs';
import { activationsCommand } from './commands/activations.ts';
import { capabilityCommand } from './commands/capability.ts';
import { datasetsCommand } from './commands/datasets.ts';
import { calibrateCommand } from './commands/calibrate.ts';
import { completionCommand } from './commands/completion.ts';
import { chatCommand } from './commands/chat.ts';
import { doctorCommand } from './commands/doctor.ts';
import { estimateCommand } from './commands/estimate.ts';
import { experimentCommand } from './commands/experiment.ts';
import { extractCommand } from './commands/extract.ts';
import { generateCommand } from './commands/generate.ts';
import { inspectCommand } from './commands/inspect.ts';
import { judgeCommand } from './commands/judge.ts';
import { mergeCommand } from './commands/merge.ts';
import { mitigateCommand } from './commands/mitigate.ts';
import { monitorCommand } from './commands/monitor.ts';
import { pullCommand } from './commands/pull.ts';
import { reproduceCommand } from './commands/reproduce.ts';
import { serveCommand } from './commands/serve.ts';
import { rolloutsCommand } from './commands/rollouts.ts';
import { screenCommand } from './commands/screen.ts';
import { shiftCommand } from './commands/shift.ts';
import { trainCommand } from './commands/train.ts';
import { traitCommand } from './commands/trait.ts';
import { reportCommand } from './commands/report.ts';
import { validateCommand } from './commands/validate.ts';
import { workerCommand } from './commands/worker.ts';
import { vectorCommand } from './commands/vector.ts';
import { devices } from '../engine/device-name.ts';
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
    const program = buildProgram({ signal: stop.signal });
    await program.parseAsync(translateOfficialFlags(args), { from: 'user' });
    return 0;
  } catch (error) {
    return reportFailure(error, { debug: args.includes('--debug'), stop });
  } finally {
    stop.release();
  }
}

function buildProgram(context: CommandContext): CommandUnknownOpts {
  const program = new Command('persona')
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
    .configureHelp({ showGlobalOptions: true })
    // Refusals are printed in one place, and never end the process from within.
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  const commands = [
    inspectCommand(),
    generateCommand(context),
    activationsCommand(context),
    extractCommand(context),
    traitCommand(context),
    judgeCommand(context),
    rolloutsCommand(),
    validateCommand(context),
    reportCommand(),
    vectorCommand(context),
    chatCommand(context),
    calibrateCommand(context),
    monitorCommand(context),
    experimentCommand(context),
    reproduceCommand(context),
    screenCommand(context),
    workerCommand(context),
    trainCommand(context),
    mergeCommand(),
    shiftCommand(context),
    mitigateCommand(context),
    capabilityCommand(context),
    datasetsCommand(),
    serveCommand(context),
    pullCommand(context),
    doctorCommand(),
    completionCommand(),
  ];
  const estimate = estimateCommand(commands, async (args) => {
    await program.parseAsync(args, { from: 'user' });
  });
  for (const command of [...commands, estimate]) {
    program.addCommand(command.copyInheritedSettings(program));
    for (const below of command.commands) below.copyInheritedSettings(command);
  }
  return program;
}

/** The version in package.json, which lies two folders up from src/cli and from dist/cli alike. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
