import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { JudgedRun } from '../../apps/judge-run.ts';
import { UsageError } from '../../errors.ts';
import type { CommandContext } from '../context.ts';
import { addOptions } from '../extract-flags.ts';
import { type JudgeFlags, judgeFlags, openFlaggedJudge } from '../judge-flags.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { columns, shortPath, table } from '../render.ts';
import { print, printJson } from '../terminal.ts';

type JudgeCommandFlags = JudgeFlags & {
  readonly again?: true | undefined;
  readonly json?: true | undefined;
};

/** `persona judge`: a run's replies as its judge scored them, scored again, or scored by another judge. */
export function judgeCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('judge')
    .argument('<run>', 'folder of a run')
    .option('--again', "compute the scores once more from what the run's judge answered; nobody is asked");
  addOptions(command, judgeFlags('none, the scores of the run'));
  return command.option('--json', 'print the result as JSON').action(async (run) => {
    const flags = command.opts() as JudgeCommandFlags;
    const result = await judge(run, flags, signal);
    if (flags.json === true) printJson(result);
    else print(describe(result));
  });
}

async function judge(run: string, flags: JudgeCommandFlags, signal: AbortSignal): Promise<JudgedRun> {
  if (flags.again === true && flags.judge !== undefined) {
    throw new UsageError('Expected --again or another judge, got both; --again asks nobody.');
  }
  const { judgeRun } = await import('../../apps/judge-run.ts');
  const progress = createProgress({ unit: 'replies' });
  const onNote = (line: string): void => noteBeside(progress, line);
  const judges = flags.judge === undefined ? undefined : await openFlaggedJudge(flags, { onNote });
  try {
    return await judgeRun({
      run,
      judges,
      again: flags.again === true,
      signal,
      onProgress: (done, total) => progress.update('judge', done, total),
    });
  } finally {
    progress.end();
    await judges?.close();
  }
}

function describe({ judge, poles, agreement, file }: JudgedRun): string {
  const rows = poles.map((pole) => [
    pole.pole,
    String(pole.replies),
    number(pole.trait),
    number(pole.coherence),
    String(pole.unscoredTrait),
    String(pole.unscoredCoherence),
    ...(pole.spread === null ? [] : [`± ${number(pole.spread)}`]),
  ]);
  const header = ['pole', 'replies', 'trait', 'coherence', 'no trait score', 'no coherence'];
  const sampled = poles.some(({ spread }) => spread !== null);
  const lines: [string, string][] = [['judge', judge]];
  if (agreement !== null) {
    const { replies, meanDifference, meanAbsoluteDifference, onlyOne } = agreement;
    lines.push(
      ['against the run', `${replies} replies scored by both, ${onlyOne} by one alone`],
      ['difference', `mean ${number(meanDifference)}, absolute ${number(meanAbsoluteDifference)}`],
      ['Spearman', agreement.spearman === null ? '–' : agreement.spearman.toFixed(2)],
    );
  }
  if (file !== null) lines.push(['scores', shortPath(file)]);
  return `${columns([sampled ? [...header, 'spread'] : header, ...rows])}\n${table(lines)}`;
}

function number(value: number | null): string {
  return value === null ? '–' : value.toFixed(1);
}
