import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../../errors.ts';
import type { ScreenOptions } from '../../apps/screen/screen.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { defined } from '../../util/defined.ts';
import { adapterOption, blockOption, collected, decimal, dtypeOption, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import type { Estimate } from '../../apps/estimate.ts';
import { type JudgedDryRunFlags, judgedDryRunFlags, printEstimate, toRateOptions } from '../dry-run.ts';
import { addOptions } from '../extract-flags.ts';
import {
  type JudgeFlags,
  type JudgeSetting,
  checkFlaggedJudge,
  judgeFlags,
  openFlaggedJudge,
} from '../judge-flags.ts';
import { showBytes } from '../bytes-progress.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { describeScreening } from '../screen-result.ts';
import { print, printJson } from '../terminal.ts';

/** `persona screen`: which rows of a data set would teach a model a trait. */
// The flags and what is done with them stand together: commander infers the types of one from the other.
// oxlint-disable-next-line max-lines-per-function
export function screenCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('screen')
    .usage('[options] [model] <data...>')
    .argument(
      '<paths...>',
      'the model, if not the one that ships, then files, their http(s) URLs, or folders: JSON lines, JSON or Parquet',
    )
    .requiredOption('--vector <name>', 'a vector file, or a run in runs/; may be repeated', collected)
    .option(
      '--known <path>',
      'rows that are known to show the trait, screened among the others: how well are they told apart? may be repeated',
      collected,
    )
    .option(
      '--allow-host <host>',
      'where a URL may lead beside its own host, or a host of this machine or its network; may be repeated',
      collected,
    )
    .option('--max-download <gb>', 'largest file from a URL, in GB (default: 20)', decimal(0))
    .option('--out <dir>', 'run folder; a stopped run in it is continued (default: runs/screen)')
    .addOption(
      new Option(
        '--mode <name>',
        "compare a reply with the state before it, with the model's own reply, with nothing, or as costly as need be",
      )
        .choices(['prompt-last', 'full', 'raw', 'auto'] as const)
        .default('prompt-last' as const),
    )
    .addOption(
      new Option('--turns <name>', 'screen the first reply of a conversation, or each')
        .choices(['first', 'all'] as const)
        .default('first' as const),
    )
    .option(
      '--map <list>',
      'which columns are which: prompt=COLUMN,answer=COLUMN or messages=COLUMN,role=…,content=…',
    )
    .option('--where <sql>', 'rows to screen, such as "language = \'English\' AND turn < 3"')
    .option('--sample <n>', 'so many rows, drawn at random', wholeNumber(1))
    .option('--seed <n>', 'of what is drawn at random (default: 0)', wholeNumber(0))
    .option('--skip-bad', 'pass over rows that cannot be read, and say how many')
    .option('--threshold <x>', 'flag samples whose difference is at least this', decimal(-Number.MAX_VALUE))
    .option('--percentile <x>', 'flag samples from this percentile on (default: 95)', decimal(0, 100))
    .option('--reference <run>', "take the percentile of another data set's screening")
    .option(
      '--max-tokens <n>',
      "longest reply of the model's own, in mode full (default: 256)",
      wholeNumber(1),
    )
    .option('--max-prompt-tokens <n>', 'leave longer prompts out (default: 512)', wholeNumber(1))
    .option(
      '--extremes <n>',
      'samples in the files of the highest, lowest and random (default: 500)',
      wholeNumber(1),
    )
    .option(
      '--queue <url>',
      'have workers score it that listen on this Redis server, such as redis://127.0.0.1:6379',
    )
    .option('--layer <n>', "instead of each vector's recommended layer", wholeNumber(1))
    .option('--pool <name>', "instead of each vector's recommended pooling")
    .option('--trait-set <name>', "set of shipped traits in which the judge's are looked for")
    .option(
      '--judge-threshold <x>',
      "flag samples from this judge's score on (default: by the percentile)",
      decimal(0, 100),
    )
    .addOption(
      new Option('--flag-by <name>', 'with a judge: flag by either, by the difference or by the judge')
        .choices(['union', 'difference', 'judge'] as const)
        .default('union' as const),
    )
    .addOption(adapterOption)
    .addOption(dtypeOption)
    .addOption(blockOption);
  addOptions(command, judgedDryRunFlags);
  const typed = command.option('--json', 'print the result as JSON');
  addOptions(command, judgeFlags('none: the difference alone flags'));
  return typed.action(async (paths, options) => {
    const {
      vector: vectors,
      out,
      pool: pooling,
      block,
      json,
      dryRun,
      rate,
      measure,
      prices,
      allowHost: allowHosts,
      maxDownload,
      ...rest
    } = options as typeof options & JudgedDryRunFlags;
    const asked = command.opts() as JudgeFlags;
    await checkFlaggedJudge(asked);
    const { model, data } = await split(paths);
    const progress = createProgress({ unit: 'samples' });
    const { judge: _, ...flags } = rest as typeof rest & JudgeFlags;
    const downloads = showBytes();
    const onNote = (line: string): void => {
      downloads.end();
      noteBeside(progress, line);
    };
    const settings = {
      ...defined({ ...flags, allowHosts, pooling, blockSize: block }),
      ...(maxDownload === undefined ? {} : { maxDownloadBytes: maxDownload * 1e9 }),
      ...defined({ judge: toScreenJudge(asked, { ...rest, blockSize: block, onNote }) }),
      model,
      data,
      vectors,
      out: out ?? join('runs', 'screen'),
      signal,
      onDownload: downloads.update,
      onBad: ({ problem }: { readonly problem: string }) => onNote(`passed over: ${problem}`),
    };
    if (dryRun === true) {
      const estimate = await dryRunOf(settings, asked, { rate, measure, prices, onNote });
      printEstimate(estimate, json === true);
      return;
    }
    const { screen } = await import('../../apps/screen/screen.ts');
    try {
      const result = await screen({
        ...settings,
        onNotice: onNote,
        onProgress: (step, done, total, detail) => progress.update(step, done, total, detail),
      });
      progress.end();
      if (json === true) printJson(result);
      else print(await describeScreening(result));
    } finally {
      progress.end();
    }
  });
}

async function dryRunOf(
  settings: Omit<ScreenOptions, 'onNotice'>,
  asked: JudgeFlags,
  flags: JudgedDryRunFlags & { readonly onNote: (line: string) => void },
): Promise<Estimate> {
  const [{ estimateScreen }, { readPrices }] = await Promise.all([
    import('../../apps/screen/estimate-screen.ts'),
    import('../../apps/judge-prices.ts'),
  ]);
  const prices = flags.prices === undefined ? undefined : await readPrices(flags.prices);
  const judges = asked.judge === undefined ? undefined : await openFlaggedJudge(asked, flags);
  try {
    return await estimateScreen({ ...settings, ...toRateOptions(flags), ...defined({ judges, prices }) });
  } finally {
    await judges?.close();
  }
}

/** The judge that the flags name; its name says all that decides its scores but the traits. */
function toScreenJudge(
  flags: JudgeFlags,
  { traitSet, ...setting }: Omit<JudgeSetting, 'loaded'> & { readonly traitSet?: string | undefined },
): ScreenOptions['judge'] {
  if (flags.judge === undefined) return undefined;
  const name =
    flags.judgeSamples === undefined ? flags.judge : `${flags.judge}, ${flags.judgeSamples} samples`;
  return { name, traitSet, open: (loaded) => openFlaggedJudge(flags, { ...setting, loaded }) };
}

/**
 * The first path is the model where it is a model's folder, or no path at all but a name such as `owner/name`. A model on a
 * server has another scheme than the URL of a file.
 */
async function split(paths: readonly string[]): Promise<{ model: string; data: string[] }> {
  const [first, ...rest] = paths;
  if (/^https?:\/\//i.test(first!)) return { model: shippedModelFolder(), data: [...paths] };
  const isModel =
    first!.endsWith('.gguf') ||
    (await pathKind(join(first!, 'config.json'))) === 'file' ||
    ((await pathKind(first!)) === null && rest.length > 0);
  if (!isModel) return { model: shippedModelFolder(), data: [...paths] };
  if (rest.length === 0) throw new UsageError('Expected the files of a data set behind the model, got none.');
  return { model: first!, data: rest };
}
