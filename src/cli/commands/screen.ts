import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../../errors.ts';
import type { ScreenResult } from '../../apps/screen/screen.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { defined } from '../../util/defined.ts';
import { blockOption, collected, decimal, dtypeOption, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { columns, shortPath, table } from '../render.ts';
import { print, printJson } from '../terminal.ts';

/** `persona screen`: which rows of a data set would teach a model a trait. */
// The flags and what is done with them stand together: commander infers the types of one from the other.
// oxlint-disable-next-line max-lines-per-function
export function screenCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('screen')
    .description('find the rows of a data set that training on would move a model towards a trait')
    .usage('[options] [model] <data...>')
    .argument(
      '<paths...>',
      'the model, if not the one that ships, then files or folders: JSON lines, JSON or Parquet',
    )
    .requiredOption('--vector <name>', 'a vector file, or a run in runs/; may be repeated', collected)
    .option(
      '--known <path>',
      'rows that are known to show the trait, screened among the others: how well are they told apart? may be repeated',
      collected,
    )
    .option('--out <dir>', 'run folder; a stopped run in it is continued (default: runs/screen)')
    .addOption(
      new Option(
        '--mode <name>',
        "compare a reply with the state before it, with the model's own reply, or with nothing",
      )
        .choices(['prompt-last', 'full', 'raw'] as const)
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
    .option('--layer <n>', "instead of each vector's recommended layer", wholeNumber(1))
    .option('--pool <name>', "instead of each vector's recommended pooling")
    .addOption(dtypeOption)
    .addOption(blockOption)
    .option('--json', 'print the result as JSON')
    .action(async (paths, flags) => {
      const { model, data } = await split(paths);
      const { screen } = await import('../../apps/screen/screen.ts');
      const progress = createProgress({ unit: 'samples' });
      const {
        vector: vectors,
        out = join('runs', 'screen'),
        pool: pooling,
        block: blockSize,
        json,
        ...rest
      } = flags;
      try {
        const result = await screen({
          ...defined({ ...rest, pooling, blockSize }),
          model,
          data,
          vectors,
          out,
          signal,
          onNotice: (line) => noteBeside(progress, line),
          onBad: ({ problem }) => noteBeside(progress, `passed over: ${problem}`),
          onProgress: (done) => progress.update('screening', done, Infinity),
        });
        progress.end();
        if (json === true) printJson(result);
        else print(await describe(result));
      } finally {
        progress.end();
      }
    });
}

/** The first path is the model where it is a model's folder, or no path at all but a name such as `owner/name`. */
async function split(paths: readonly string[]): Promise<{ model: string; data: string[] }> {
  const [first, ...rest] = paths;
  const isModel =
    (await pathKind(join(first!, 'config.json'))) === 'file' ||
    ((await pathKind(first!)) === null && rest.length > 0);
  if (!isModel) return { model: shippedModelFolder(), data: [...paths] };
  if (rest.length === 0) throw new UsageError('Expected the files of a data set behind the model, got none.');
  return { model: first!, data: rest };
}

async function describe({ folder, manifest }: ScreenResult): Promise<string> {
  const { counts, traits, mode } = manifest;
  const number = (value: number | null): string =>
    value === null ? '–' : value.toFixed(3).replace('-', '−');
  const head = ['trait', 'layer', 'mean difference', '95 % interval', 'flagged from', 'flagged'];
  const judged = traits.some(({ known }) => known !== null);
  const rows = traits
    .toSorted((a, b) => (b.difference.mean ?? 0) - (a.difference.mean ?? 0))
    .map(({ name, layer, difference: { mean, lower, upper }, threshold, flagged, known }) => [
      name,
      String(layer),
      number(mean),
      `${number(lower)} … ${number(upper)}`,
      number(threshold),
      String(flagged),
      ...(judged
        ? [known === null ? '–' : `${known.flagged} of ${known.rows}`, number(known?.auroc ?? null)]
        : []),
    ]);
  const left = (['empty', 'long', 'refused', 'bad'] as const).reduce(
    (sum, name) => sum + (counts[name] ?? 0),
    0,
  );
  return `${columns([judged ? [...head, 'known ones', 'AUROC'] : head, ...rows], [0])}\n${table([
    ['rows', `${counts['rows'] ?? 0}, taken for ${manifest.schema_of_rows}`],
    ['samples', `${counts['samples'] ?? 0} screened in mode ${mode}, ${left} left out`],
    ['flagged', `${counts['flagged'] ?? 0} for one trait or more`],
    ['highest', await highest(folder, manifest)],
    ['run folder', shortPath(folder)],
    ['report', shortPath(join(folder, 'report.html'))],
  ])}`;
}

/** What the highest sample of the first trait begins with. */
async function highest(folder: string, { traits }: ScreenResult['manifest']): Promise<string> {
  const [{ extremeFile }, { readFile }] = await Promise.all([
    import('../../store/screen-folder.ts'),
    import('node:fs/promises'),
  ]);
  const text = await readFile(join(folder, extremeFile('top', traits[0]!.name)), 'utf8');
  const { id, messages } = JSON.parse(text.slice(0, text.indexOf('\n'))) as {
    readonly id: string;
    readonly messages: readonly { readonly content: string }[];
  };
  return `${traits[0]!.name}: ${id}, ${JSON.stringify(messages.at(-1)!.content.slice(0, 60))}`;
}
