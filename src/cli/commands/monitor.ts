import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { MonitorResult } from '../../apps/monitor.ts';
import { FoundAlert } from '../alert.ts';
import { decimal, modelArgument } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { dryRunFlags } from '../dry-run.ts';
import { addOptions } from '../extract-flags.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { columns, table } from '../render.ts';
import { print, printJson } from '../terminal.ts';
import {
  estimateWatched,
  onBadConversation,
  openWatched,
  skipBadOption,
  type WatchFileFlags,
  watchFlags,
} from '../watch-flags.ts';

interface MonitorFlags extends WatchFileFlags {
  readonly report?: string | undefined;
  readonly baseline?: string | undefined;
  readonly reading: 'mean' | 'before';
  readonly slack: number;
  readonly limit: number;
  readonly direction: 'up' | 'down' | 'both';
  readonly failOnAlert?: true | undefined;
}

/** `persona monitor`: conversations turn by turn, and where they drift. */
export function monitorCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('monitor')
    .addArgument(modelArgument)
    .requiredOption('--input <file>', 'conversations: OpenAI, ShareGPT or assistant-axis')
    .option('--out <file>', 'JSON lines to write, one a conversation', 'monitor.jsonl')
    .option('--report <file>', 'also a page with the lines by turn and the text coloured token by token')
    .option('--baseline <file>', 'baseline of `persona calibrate`; without it there are projections alone');
  addOptions(command, [
    ...watchFlags(),
    new Option(
      '--reading <name>',
      'which reading of a turn drifts: the mean of the reply, or the state before it',
    )
      .choices(['mean', 'before'])
      .default('mean'),
    new Option('--slack <x>', 'of the drift sum, in standard deviations').argParser(decimal(0)).default(0.5),
    new Option('--limit <x>', 'drift sum beyond which there is an alert').argParser(decimal(0)).default(5),
    new Option('--direction <name>', 'which way is a drift').choices(['up', 'down', 'both']).default('up'),
    new Option('--fail-on-alert', 'end with exit code 3 if any conversation drifts'),
    skipBadOption,
    ...dryRunFlags,
  ]);
  return command.option('--json', 'print the summary as JSON').action(async (modelName) => {
    const flags = command.opts() as unknown as MonitorFlags;
    if (flags.dryRun === true) {
      await estimateWatched('monitor', modelName, flags);
      return;
    }
    const result = await runMonitor(modelName, flags, signal);
    if (flags.json === true) printJson(summaryOf(result));
    else print(describe(result, flags));
    const alerts = result.rows.filter((row) => row.alerts.length > 0).length;
    if (flags.failOnAlert === true && alerts > 0)
      throw new FoundAlert(`${alerts} of ${result.rows.length} conversations drifted; see ${result.output}.`);
  });
}

async function runMonitor(
  modelName: string,
  flags: MonitorFlags,
  signal: AbortSignal,
): Promise<MonitorResult> {
  const [{ checkAlerts, monitor }, { MonitorReport }, { readBaseline }, { writeWhole }] = await Promise.all([
    import('../../apps/monitor.ts'),
    import('../../apps/monitor-report.ts'),
    import('../../store/baseline-file.ts'),
    import('../../store/files.ts'),
  ]);
  checkAlerts(flags.failOnAlert === true, flags.baseline);
  const baseline = flags.baseline === undefined ? undefined : await readBaseline(flags.baseline);
  const progress = createProgress({ unit: 'conversations' });
  const tell = (line: string): void => noteBeside(progress, line);
  const { model, watched } = await openWatched(modelName, flags, tell);
  const report = flags.report === undefined ? null : new MonitorReport();
  try {
    const { slack, limit, direction } = flags;
    const result = await monitor({
      model,
      watched,
      input: flags.input,
      output: flags.out,
      baseline,
      rule: { slack, limit, direction },
      reading: flags.reading,
      onBad: onBadConversation(flags.skipBad === true, tell),
      onConversation: report === null ? undefined : (row, one) => report.add(row, one),
      signal,
      onProgress: (done) => progress.update('conversations', done, Infinity),
    });
    if (report !== null && flags.report !== undefined) {
      const scene = {
        modelId: model.checkpoint.id,
        watched,
        baseline,
        tokenizer: model.checkpoint.tokenizer!,
      };
      await writeWhole(flags.report, report.render(result, scene));
    }
    for (const line of result.notes) tell(`note: ${line}`);
    return result;
  } finally {
    progress.end();
    await model.close();
  }
}

function summaryOf({ output, rows, skipped, rule, reading }: MonitorResult): object {
  return {
    output,
    conversations: rows.length,
    turns: rows.reduce((sum, row) => sum + row.turns.length, 0),
    skipped,
    reading,
    cusum: rule,
    alerts: rows.flatMap(({ line, id, alerts }) => alerts.map((alert) => ({ line, id, ...alert }))),
  };
}

function describe(
  { output, rows, skipped, rule, reading }: MonitorResult,
  { report, baseline }: MonitorFlags,
): string {
  const alerts = rows.flatMap(({ id, alerts: own }) => own.map((alert) => ({ id, ...alert })));
  const turns = rows.reduce((sum, row) => sum + row.turns.length, 0);
  const thinking = rows.some((row) => row.turns.some(({ position }) => position === 'think_end'));
  const what = reading === 'mean' ? 'the mean of each reply' : 'the state before each reply';
  const lines: [string, string][] = [
    ['conversations', `${rows.length} with ${turns} turns${skipped > 0 ? `; ${skipped} left out` : ''}`],
    [
      'read before a reply',
      thinking
        ? 'at its last prompt token, or at the end of its thought where it thinks first'
        : 'at its last prompt token',
    ],
    baseline === undefined
      ? ['drift', 'not told, without --baseline']
      : [
          'drift',
          `CUSUM of z-scores of ${what}: slack ${rule.slack}, limit ${rule.limit}, ${rule.direction}`,
        ],
    ['rows', output],
    ...(report === undefined ? [] : [['report', report] as [string, string]]),
  ];
  if (alerts.length === 0)
    return `${baseline === undefined ? '' : 'No conversation drifted.\n\n'}${table(lines)}`;
  const header = ['conversation', 'vector', 'from turn', 'drift', 'z', 'percentile'];
  const body = alerts
    .slice(0, 20)
    .map((one) => [
      one.id,
      one.vector,
      String(one.turn),
      `${one.direction === 'up' ? '+' : '−'}${one.drift.toFixed(1)}`,
      one.z?.toFixed(2) ?? '–',
      one.percentile?.toFixed(1) ?? '–',
    ]);
  const more = alerts.length > 20 ? `… and ${alerts.length - 20} more\n` : '';
  return `${columns([header, ...body], [0, 1])}${more}\n${table(lines)}`;
}
