import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { CommandContext } from '../context.ts';
import { finetuningExperimentCommand } from './experiments/finetuning.ts';
import { monitoringExperimentCommand } from './experiments/monitoring.ts';
import { screeningExperimentCommand } from './experiments/screening.ts';
import { steeringExperimentCommand } from './experiments/steering.ts';

/** `persona experiment`: the paper's experiments, one file each in `experiments/`. */
export function experimentCommand(context: CommandContext): CommandUnknownOpts {
  return new Command('experiment')
    .addCommand(monitoringExperimentCommand(context))
    .addCommand(steeringExperimentCommand(context))
    .addCommand(finetuningExperimentCommand(context))
    .addCommand(screeningExperimentCommand(context));
}
