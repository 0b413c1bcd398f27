import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { PartOutcome, Reproduction } from '../../apps/reproduce/outcome.ts';
import { partNames, type PartName } from '../../apps/reproduce/parts.ts';
import type { ReproduceOptions } from '../../apps/reproduce/reproduce.ts';
import type { ReproduceSettings } from '../../apps/reproduce/settings.ts';
import { defined } from '../../util/defined.ts';
import { IncompleteRun } from '../alert.ts';
import { modelArgument, namesOf, seedOption, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { type JudgedDryRunFlags, judgedDryRunFlags, printEstimate, toRateOptions } from '../dry-run.ts';
import { addOptions } from '../extract-flags.ts';
import { type JudgeFlags, checkFlaggedJudge, judgeFlags, openFlaggedJudge } from '../judge-flags.ts';
import { type ModelFlags, modelFlags, toModelOptions } from '../model-flags.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { columns, shortPath } from '../render.ts';
import { note, print, printJson } from '../terminal.ts';

type Flags = JudgeFlags &
  ModelFlags &
  JudgedDryRunFlags & {
    readonly only?: PartName[] | undefined;
    readonly quick?: true | undefined;
    readonly settings?: string | undefined;
    readonly out?: string | undefined;
    readonly data?: string | undefined;
    readonly train?: string | undefined;
    readonly questions?: string | undefined;
    readonly layer?: number | undefined;
    readonly seed?: number | undefined;
    readonly json?: true | undefined;
  };

/** `persona reproduce`: the paper's experiments in one folder, with one page. */
export function reproduceCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('reproduce').addArgument(modelArgument);
  addOptions(command, [
    new Option('--quick', 'few questions, replies and trainings: minutes instead of hours'),
    new Option(
      '--only <list>',
      `some of ${partNames.join(', ')}, with what they build on (default: all)`,
    ).argParser(namesOf(partNames)),
    new Option('--out <dir>', 'folder; a stopped run in it is continued (default: runs/reproduce-MODEL)'),
    new Option('--settings <file>', 'JSON of settings to change, see docs/reproduction.md'),
    new Option(
      '--data <dir>',
      "<family>/<variant>.jsonl to train on (default: made, of persona-tiny's world, for that model)",
    ),
    new Option('--train <file>', 'keys of a training file, such as {"learning_rate": 1e-5}'),
    new Option(
      '--questions <path>',
      "multiple-choice questions in one of MMLU's layouts (default: persona-tiny's world, for that model)",
    ),
    new Option(
      '--layer <n>',
      'where projections are read and models are steered in training (default: half depth)',
    ).argParser(wholeNumber(1)),
    seedOption('results'),
    ...judgeFlags(),
    ...modelFlags,
    ...judgedDryRunFlags,
  ]);
  return command.option('--json', 'print the summary as JSON').action(async (model) => {
    const flags = command.opts() as unknown as Flags;
    await checkFlaggedJudge(flags);
    if (flags.dryRun === true) await estimate(model, flags);
    else await run(model, flags, signal);
  });
}

async function run(model: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const { reproduce } = await import('../../apps/reproduce/reproduce.ts');
  const progress = createProgress({ unit: 'done' });
  const tell = (line: string): void => noteBeside(progress, line);
  try {
    const options = await toOptions(model, flags, tell);
    const result = await reproduce({
      ...options,
      signal,
      onNote: tell,
      onProgress: (step, done, total) => progress.update(step, done, total),
    });
    progress.end();
    if (flags.json === true) printJson(summaryOf(result, options.out));
    else print(describe(result, options.out));
    const missing = missingParts(result);
    if (missing.length > 0)
      throw new IncompleteRun(`No or not all results: ${missing.join(', ')}; the page says why.`);
  } finally {
    progress.end();
  }
}

async function estimate(model: string, flags: Flags): Promise<void> {
  const [{ estimateReproduction }, { groupEstimate }, { readPrices }] = await Promise.all([
    import('../../apps/reproduce/estimate.ts'),
    import('../../apps/estimate.ts'),
    import('../../apps/judge-prices.ts'),
  ]);
  const prices = flags.prices === undefined ? undefined : await readPrices(flags.prices);
  const options = { ...(await toOptions(model, flags, note)), ...toRateOptions(flags), prices };
  const full = await estimateReproduction(options);
  // A line for every step of every trait would be sixty lines; whoever reads JSON gets them.
  const shown = flags.json === true ? full : groupEstimate(full, (name) => name.split(',', 1)[0]!);
  printEstimate(shown, flags.json === true);
}

async function toOptions(
  model: string,
  flags: Flags,
  onNote: (line: string) => void,
): Promise<ReproduceOptions> {
  const [{ loadCheckpoint }, { readUserJson }, { runFolderName }] = await Promise.all([
    import('../../model/checkpoint.ts'),
    import('../../store/strict-json.ts'),
    import('../../apps/extract-all.ts'),
  ]);
  const { data, questions, layer, seed, only, dtype, block: blockSize } = flags;
  const { id } = await loadCheckpoint(model, flags.adapter);
  const train =
    flags.train === undefined ? undefined : ((await readUserJson(flags.train)) as Record<string, unknown>);
  return {
    model,
    out: flags.out ?? join('runs', `reproduce-${runFolderName(id)}`),
    settings: await settingsOf(flags),
    quick: flags.quick === true,
    judge: flags.judge ?? 'lexical',
    openJudges: (loaded) => openFlaggedJudge(flags, { loaded, dtype, blockSize, onNote }),
    ...toModelOptions(flags),
    ...defined({ data, questions, layer, seed, only, train }),
  };
}

async function settingsOf({ quick, settings }: Flags): Promise<ReproduceSettings> {
  const { fullSettings, quickSettings, readSettings } = await import('../../apps/reproduce/settings.ts');
  const base = quick === true ? quickSettings : fullSettings;
  return settings === undefined ? base : readSettings(settings, base);
}

function missingParts({ parts }: Reproduction): PartName[] {
  return partNames.filter((name) => {
    const outcome: PartOutcome = parts[name];
    return outcome.status === 'failed' || (outcome.status === 'done' && outcome.failures.length > 0);
  });
}

function describe({ parts, comparisons, sentences }: Reproduction, out: string): string {
  const rows = partNames.map((name) => {
    const outcome: PartOutcome = parts[name];
    const own = comparisons.filter(({ part }) => part === name);
    const decided = own.filter(({ verdict }) => verdict !== 'open').length;
    const agreeing = own.filter(({ verdict }) => verdict === 'agrees').length;
    return [
      name,
      outcome.status === 'failed' ? 'no result' : outcome.status,
      decided === 0 ? '' : `${agreeing} of ${decided} agree`,
    ];
  });
  const texts = partNames.flatMap((name) => {
    const outcome: PartOutcome = parts[name];
    const text = outcome.status === 'failed' ? outcome.reason : sentences[name];
    return text === undefined ? [] : [`\n${name}: ${text}\n`];
  });
  return `${columns(rows, [0, 1])}${texts.join('')}\nrun folder  ${shortPath(out)}\nreport      ${shortPath(join(out, 'report.html'))}\n`;
}

/** For programs: all but the experiments' own data, which lie in results.json. */
function summaryOf({ parts, ...rest }: Reproduction, out: string): object {
  const statuses = Object.entries(parts).map(([name, outcome]: [string, PartOutcome]) => {
    if (outcome.status !== 'done') return [name, outcome];
    const { status, seconds, failures } = outcome;
    return [name, { status, seconds, failures }];
  });
  return { ...rest, parts: Object.fromEntries(statuses), run: out, report: join(out, 'report.html') };
}
