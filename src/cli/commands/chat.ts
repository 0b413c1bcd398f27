import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { decimal, modelArgument, wholeNumber } from '../arguments.ts';
import type { ChatFlags } from '../chat-loop.ts';
import type { CommandContext } from '../context.ts';
import { addOptions } from '../extract-flags.ts';
import { watchFlags } from '../watch-flags.ts';

/** `persona chat`: a conversation in the terminal, watched and steered. */
export function chatCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('chat')
    .addArgument(modelArgument)
    .option('--system <text>', 'system prompt')
    .option('--steer <file>', 'steering spec to begin with (see docs/steering.md)')
    .option('--baseline <file>', 'baseline of `persona calibrate`: bars show percentiles');
  addOptions(command, [
    ...watchFlags(),
    new Option('--max-tokens <n>', 'longest reply').argParser(wholeNumber(1)).default(256),
    new Option('--temperature <x>', '0 takes the likeliest token every time')
      .argParser(decimal(0))
      .default(0.7),
    new Option('--top-p <x>', 'sample from the likeliest tokens').argParser(decimal(0, 1)).default(1),
    new Option('--seed <n>', 'equal seeds and lines give equal replies').argParser(wholeNumber(0)).default(0),
  ]);
  return command.action(async (modelName) => {
    const flags = command.opts() as unknown as ChatFlags;
    const { chat } = await import('../chat-loop.ts');
    await chat(modelName, flags, signal);
  });
}
