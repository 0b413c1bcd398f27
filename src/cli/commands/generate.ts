import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../../errors.ts';
import { defined } from '../../util/defined.ts';
import type { GenerateInput } from '../../apps/generate.ts';
import {
  adapterOption,
  blockOption,
  collected,
  decimal,
  dtypeOption,
  modelArgument,
  tokenIds,
  wholeNumber,
} from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { dryRunOption, noMeasureOption, printEstimate, rateOption, toRateOptions } from '../dry-run.ts';
import { note, print, printable, printJson } from '../terminal.ts';

/** `persona generate`: continues ids, a text or a conversation, steered or not. */
export function generateCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('generate')
    .addArgument(modelArgument)
    .option('--ids <list>', 'prompt as token ids, such as 1,2,3', tokenIds)
    .option('--prompt <text>', 'prompt as raw text; BOS as the tokenizer adds it')
    .option('--messages <file>', 'conversation as JSON, through the chat template')
    .option('--max-tokens <n>', 'most new tokens (default: 256, or what the context leaves)', wholeNumber(1))
    .option('--temperature <x>', '0 takes the likeliest token every time', decimal(0), 0)
    .option('--top-p <x>', 'sample from the likeliest tokens that reach this probability', decimal(0, 1), 1)
    .option('--top-k <n>', 'sample from this many of the likeliest tokens; 0 is all', wholeNumber(0), 0)
    .option('--min-p <x>', 'leave out tokens less likely than this share of the likeliest', decimal(0, 1), 0)
    .option('--repetition-penalty <x>', 'above 1, tokens that have occurred are less likely', decimal(0), 1)
    .option('--stop <text>', 'end before this text; may be given several times', collected)
    .option('--seed <n>', 'equal seeds give equal samples', wholeNumber(0), 0)
    .option('--ignore-eos', 'go on after an end-of-reply token')
    .addOption(adapterOption)
    .addOption(dtypeOption)
    .addOption(blockOption)
    .option('--intervene <file>', 'where, when and how strongly to steer, as JSON (see docs/steering.md)')
    .addOption(dryRunOption)
    .addOption(rateOption)
    .addOption(noMeasureOption)
    .option('--json', 'print {"ids", "text", "finish_reason"}')
    .action(async (model, { ids, prompt, messages, intervene, json, block: blockSize, ...flags }) => {
      const { dryRun, rate, measure, ...options } = flags;
      const source = oneSource({ ids, prompt, messages });
      const input = await readSource(source);
      if (dryRun === true) {
        const { estimateGenerate } = await import('../../apps/estimate-generate.ts');
        const { maxTokens, adapter, dtype } = options;
        const settings = {
          ...toRateOptions({ rate, measure }),
          ...defined({ maxTokens, adapter, dtype, blockSize }),
        };
        printEstimate(await estimateGenerate({ ...settings, model, input }), json === true);
        return;
      }
      const { generate } = await import('../../apps/generate.ts');
      const steering = await readSpec(intervene);
      const streaming = json === true ? {} : { onText: (text: string) => print(printable(text)) };
      const result = await generate({
        ...defined({ ...options, blockSize }),
        onNotice: note,
        ...steering,
        ...streaming,
        model,
        input,
        signal,
      });
      for (const line of result.notes) note(`note: ${line}`);
      if (json === true) {
        printJson({ ids: result.ids, text: result.text, finish_reason: result.finishReason });
      } else {
        print(result.text === null ? `${result.ids.join(',')}\n` : '\n');
      }
    });
}

type Source = { ids: number[] } | { prompt: string } | { messagesFile: string };

function oneSource(flags: {
  ids: number[] | undefined;
  prompt: string | undefined;
  messages: string | undefined;
}): Source {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined);
  if (given.length !== 1) {
    const got = given.length === 0 ? 'none' : given.map(([name]) => `--${name}`).join(' and ');
    throw new UsageError(`Expected exactly one of --ids, --prompt and --messages, got ${got}.`);
  }
  if (flags.ids !== undefined) return { ids: flags.ids };
  if (flags.prompt !== undefined) return { prompt: flags.prompt };
  return { messagesFile: flags.messages! };
}

async function readSource(source: Source): Promise<GenerateInput> {
  if (!('messagesFile' in source)) return source;
  const { readMessages } = await import('../../apps/messages.ts');
  return { messages: await readMessages(source.messagesFile) };
}

async function readSpec(file: string | undefined) {
  if (file === undefined) return {};
  const { readSteering } = await import('../../persona/steering/spec.ts');
  return { steering: await readSteering(file) };
}
