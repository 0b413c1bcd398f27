import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { AbortError } from '../../errors.ts';
import type { TrainEvent } from '../../training/progress.ts';
import type { TrainPlan } from '../../training/plan.ts';
import type { TrainResult } from '../../training/train.ts';
import { defined } from '../../util/defined.ts';
import { wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { createProgress, duration, noteBeside } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { bytes, shortPath, table } from '../render.ts';
import { print, printJson } from '../terminal.ts';

/** `persona train`: a LoRA adapter or a whole model from a training file. */
export function trainCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('train')
    .argument('<config>', "training file: JSON with the paper's keys and ours, see docs/training.md")
    .option('--output <dir>', "instead of the file's output_dir; a stopped run in it is continued")
    .option('--seed <n>', "instead of the file's seed", wholeNumber(0))
    .option('--dry-run', 'say what would be done: steps, tokens, memory and time')
    .option('--json', 'print the result as JSON')
    .action(async (config, { output, seed, dryRun, json }) => {
      const [{ train }, { planTraining }] = await Promise.all([
        import('../../training/train.ts'),
        import('../../training/plan.ts'),
      ]);
      const progress = createProgress({ unit: 'steps' });
      const options = {
        config,
        ...defined({ output, seed }),
        signal,
        onProgress: trainListener(progress),
      };
      try {
        if (dryRun === true) {
          const plan = await planTraining(options);
          progress.end();
          if (json === true) printJson(plan);
          else print(describePlan(plan));
          return;
        }
        const result = await train(options);
        progress.end();
        if (json === true) printJson(summary(result));
        else print(describeTraining(result));
      } catch (error) {
        if (!(error instanceof AbortError)) throw error;
        throw new AbortError(`${error.message.replace(/\.$/, '')}; the same command continues.`);
      } finally {
        progress.end();
      }
    });
}

/** Steps that the rate of tokens is taken over. */
const recentSteps = 20;

function trainListener(progress: Progress): (event: TrainEvent) => void {
  const recent: { readonly tokens: number; readonly seconds: number }[] = [];
  return (event) => {
    switch (event.type) {
      case 'rows':
        break;
      case 'resume':
        noteBeside(progress, `continuing after step ${event.step} of ${event.total}`);
        progress.update('training', event.step, event.total);
        break;
      case 'step': {
        const { step, loss, tokens, seconds } = event.step;
        recent.push({ tokens, seconds });
        if (recent.length > recentSteps) recent.shift();
        const rate = sumOf(recent, 'tokens') / Math.max(sumOf(recent, 'seconds'), 1e-9);
        progress.update(
          'training',
          step,
          event.total,
          `loss ${loss.toFixed(4)}, ${rate.toFixed(0)} tokens/s`,
        );
        break;
      }
      case 'notice':
        noteBeside(progress, `note: ${event.message}`);
        break;
      default:
        event satisfies never;
    }
  };
}

function sumOf<Key extends string>(items: readonly Readonly<Record<Key, number>>[], key: Key): number {
  return items.reduce((sum, item) => sum + item[key], 0);
}

/** A finished training as a person reads it. */
function describeTraining({ folder, manifest, steps, report }: TrainResult): string {
  const { counts, final, seconds } = manifest;
  const [first, last] = [steps[0]!, steps.at(-1)!];
  const projections = Object.entries(final.projections ?? {}).map(([name, value]): [string, string] => [
    `projection on ${name}`,
    `${(first.projections?.[name] ?? NaN).toFixed(3)} → ${value.toFixed(3)}`,
  ]);
  return table([
    ['loss', `${first.loss.toFixed(4)} → ${last.loss.toFixed(4)}`],
    ...(final.test_loss === undefined
      ? []
      : [
          ['held-out loss', `${first.test_loss?.toFixed(4) ?? '–'} → ${final.test_loss.toFixed(4)}`] as const,
        ]),
    ...projections,
    ['steps', `${counts['steps']} over ${counts['rows']} rows, ${counts['tokens']} tokens`],
    ['time', duration(seconds)],
    [manifest.config['is_peft'] === true ? 'adapter' : 'model', shortPath(folder)],
    ['report', shortPath(report)],
  ]);
}

/** What programs want of a training. */
function summary({ folder, manifest, steps, report }: TrainResult): object {
  const { counts, final, seconds } = manifest;
  return { folder, counts, seconds, loss: steps.map(({ loss }) => loss), final, report };
}

function describePlan(plan: TrainPlan): string {
  return table([
    ['trains', plan.trains],
    ['rows', `${plan.rows}, ${plan.tokens_per_epoch} tokens an epoch`],
    ['steps', `${plan.steps}, ${plan.steps_per_epoch} an epoch`],
    ['tokens', `${plan.tokens} in all`],
    ['memory', `about ${bytes(plan.memory_bytes)}`],
    ['time', `about ${duration(plan.seconds)}, by one measured pass`],
    ['output', shortPath(plan.output)],
  ]);
}
