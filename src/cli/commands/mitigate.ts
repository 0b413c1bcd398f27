import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { MitigateResult } from '../../apps/mitigate/mitigate.ts';
import type { ArmOutcome } from '../../apps/mitigate/outcome.ts';
import { fixed } from '../../util/html.ts';
import type { CommandContext } from '../context.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { columns, shortPath } from '../render.ts';
import { print, printJson } from '../terminal.ts';

/** `persona mitigate`: ways to keep a trait out of a fine-tuned model, side by side. */
export function mitigateCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('mitigate')
    .argument('<config>', 'JSON: model, training_file, trait, output_dir and more, see docs/finetuning.md')
    .option('--dry-run', 'say what would be trained and measured, and do nothing')
    .option('--json', 'print the result as JSON')
    .action(async (config, { dryRun, json }) => {
      if (dryRun === true) {
        const { planMitigation } = await import('../../apps/mitigate/plan.ts');
        const plan = await planMitigation(config);
        if (json === true) printJson(plan);
        else
          print(
            `${plan.trainings} trainings, ${plan.arms.length} models to measure, ${plan.replies} replies each:\n\n${plan.arms.map((arm) => `${arm}\n`).join('')}`,
          );
        return;
      }
      const { mitigate } = await import('../../apps/mitigate/mitigate.ts');
      const progress = createProgress({ unit: 'done' });
      try {
        const result = await mitigate({
          config,
          signal,
          onNotice: (line) => noteBeside(progress, line),
          onProgress: (step, done, total) => progress.update(step, done, total),
        });
        progress.end();
        if (json === true) printJson(result);
        else print(describeMitigation(result));
      } finally {
        progress.end();
      }
    });
}

function describeMitigation({ trait, arms, report }: MitigateResult): string {
  const row = ({ treatment, strength, reporting, removed, coherence, capability }: ArmOutcome): string[] => [
    treatment,
    strength === null ? '' : String(strength),
    fixed(reporting.score),
    reporting.interval === null
      ? '–'
      : `${fixed(reporting.interval.lower, 0)} … ${fixed(reporting.interval.upper, 0)}`,
    removed === null ? '–' : `${fixed(100 * removed, 0)} %`,
    fixed(coherence.reporting, 0),
    capability?.accuracy == null ? '–' : `${fixed(100 * capability.accuracy)} %`,
  ];
  const head = ['treatment', 'strength', trait, '95 % interval', 'rise gone', 'coherence', 'capability'];
  const chosen = arms.filter((one) => one.chosen);
  return [
    'Strengths chosen on one half of the questions, scores of the other half:\n\n',
    columns([head, ...chosen.map(row)], [0]),
    `\nreport  ${shortPath(report)}\n`,
  ].join('');
}
