import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { CapabilityResult } from '../../apps/capability.ts';
import { defined } from '../../util/defined.ts';
import { adapterOption, blockOption, dtypeOption, modelArgument, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { dryRunOption, noMeasureOption, printEstimate, rateOption, toRateOptions } from '../dry-run.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { columns, percent, percentRange, table } from '../render.ts';
import { print, printJson } from '../terminal.ts';

/** `persona capability`: accuracy on multiple-choice questions by log-probability. */
export function capabilityCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('capability')
    .addArgument(modelArgument)
    .option('--data <path>', "file or folder in one of MMLU's layouts (default: persona-tiny's own world)")
    .option('--shots <n>', 'solved questions before each (default: 0)', wholeNumber(0, 100))
    .option('--chat', 'put questions through the chat template (default: as plain text)')
    .option('--limit <n>', 'at most so many questions of a subject', wholeNumber(1))
    .addOption(adapterOption)
    .addOption(dtypeOption)
    .addOption(blockOption)
    .option('--intervene <file>', 'where, when and how strongly to steer, as JSON (see docs/steering.md)')
    .option('--subjects', 'also print every subject')
    .addOption(dryRunOption)
    .addOption(rateOption)
    .addOption(noMeasureOption)
    .option('--json', 'print the result as JSON')
    .action(async (model, flags) => {
      const { intervene, block: blockSize, subjects, dryRun, rate, measure, json, ...options } = flags;
      if (dryRun === true) {
        const { estimateCapability } = await import('../../apps/estimate-capability.ts');
        const settings = {
          ...toRateOptions({ rate, measure }),
          ...defined({ ...options, blockSize }),
          model,
        };
        printEstimate(await estimateCapability(settings), json === true);
        return;
      }
      const [{ capability }, { readSteering }] = await Promise.all([
        import('../../apps/capability.ts'),
        import('../../persona/steering/spec.ts'),
      ]);
      const steering = intervene === undefined ? undefined : await readSteering(intervene);
      const progress = createProgress({ unit: 'questions' });
      try {
        const result = await capability({
          ...defined({ ...options, blockSize, steering }),
          model,
          signal,
          onNotice: (line) => noteBeside(progress, line),
          onProgress: (done, total) => progress.update('capability', done, total),
        });
        progress.end();
        if (json === true) printJson(result);
        else print(describeCapability(result, subjects === true));
      } finally {
        progress.end();
      }
    });
}

function describeCapability(result: CapabilityResult, withSubjects: boolean): string {
  const { model, name, shots, all, macro, subjects } = result;
  const summary = table([
    ['model', model],
    ['questions', `${all.questions} of ${subjects.length} subjects (${name}), ${shots}-shot`],
    ['accuracy', `${percent(all.accuracy)} (${all.correct} right)`],
    ['95 % interval', `${percentRange(all.wilson)} Wilson, ${percentRange(all.bootstrap)} bootstrap`],
    ['by subject', `${percent(macro)} on average`],
  ]);
  if (!withSubjects) return summary;
  const rows = subjects.map((one) => [
    one.subject,
    String(one.questions),
    percent(one.accuracy),
    percentRange(one.wilson),
  ]);
  return `${summary}\n${columns([['subject', 'questions', 'accuracy', '95 % interval'], ...rows], [0])}`;
}
