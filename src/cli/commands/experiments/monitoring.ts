import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { MonitoringExperiment } from '../../../persona/experiments/monitoring.ts';
import type { Correlation } from '../../../persona/experiments/monitoring-results.ts';
import type { Trait } from '../../../persona/trait.ts';
import { defined } from '../../../util/defined.ts';
import { modelArgument, seedOption, wholeNumber } from '../../arguments.ts';
import type { CommandContext } from '../../context.ts';
import { addOptions } from '../../extract-flags.ts';
import { judgedDryRunFlags, printEstimate } from '../../dry-run.ts';
import { judgeFlags } from '../../judge-flags.ts';
import { modelFlags } from '../../model-flags.ts';
import { columns, shortPath, table } from '../../render.ts';
import { print, printJson } from '../../terminal.ts';
import { addTraitOptions, dryRunScene, type TraitExperimentFlags, withTraitScene } from './scene.ts';

type Flags = TraitExperimentFlags & {
  readonly prompts?: string | undefined;
  readonly randomDirections?: number | undefined;
};

/** `persona experiment monitoring`: does the state before a reply foretell the trait in it? */
export function monitoringExperimentCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('monitoring')
    .description(
      'correlate the projection before a reply with the trait in it, over graded prompts and exemplars',
    )
    .addArgument(modelArgument);
  addTraitOptions(command);
  command
    .option('--prompts <file>', 'JSON list of eight system prompts, from discouraging to encouraging')
    .option('--out <dir>', 'run folder; a stopped run in it is continued (default: runs/monitoring-TRAIT)');
  addOptions(command, [
    new Option('--layer <n>', "layer to project at (default: the vector's recommended one)").argParser(
      wholeNumber(1),
    ),
    new Option('--samples <n>', 'replies to a question under a condition (default: 10)').argParser(
      wholeNumber(1),
    ),
    new Option(
      '--max-tokens <n>',
      'longest reply (default: 1000, at most a quarter of the context)',
    ).argParser(wholeNumber(1)),
    new Option('--random-directions <n>', 'directions to compare with (default: 200)').argParser(
      wholeNumber(1, 10_000),
    ),
    seedOption('files'),
    ...judgeFlags(),
    ...modelFlags,
    ...judgedDryRunFlags,
  ]);
  return command.option('--json', 'print the result as JSON').action(async (modelName) => {
    const flags = command.opts() as unknown as Flags;
    if (flags.dryRun === true) {
      await estimate(modelName, flags);
      return;
    }
    const { result, out } = await run(modelName, flags, signal);
    if (flags.json === true) printJson({ ...result, run: out });
    else print(describe(result, out));
  });
}

async function run(
  modelName: string,
  flags: Flags,
  signal: AbortSignal,
): Promise<{ readonly result: MonitoringExperiment; readonly out: string }> {
  const [{ monitoringExperiment }, prompts] = await Promise.all([
    import('../../../persona/experiments/monitoring.ts'),
    readPrompts(flags.prompts),
  ]);
  const { layer, samples, maxTokens, randomDirections, seed } = flags;
  return withTraitScene(modelName, flags, async (scene) => {
    const out = outOf(flags, scene.trait);
    const given = defined({ prompts, layer, samples, maxTokens, randomDirections, seed });
    return { result: await monitoringExperiment({ ...scene, ...given, out, signal }), out };
  });
}

async function estimate(modelName: string, flags: Flags): Promise<void> {
  const [scene, prompts, { estimateMonitoringExperiment }] = await Promise.all([
    dryRunScene(modelName, flags),
    readPrompts(flags.prompts),
    import('../../../apps/estimate-experiments.ts'),
  ]);
  const { samples, maxTokens } = flags;
  const out = outOf(flags, scene.trait);
  const given = { ...scene, ...defined({ prompts, samples, maxTokens }), out };
  printEstimate(await estimateMonitoringExperiment(given), flags.json === true);
}

function outOf({ out, vectors = 'runs' }: Flags, trait: Pick<Trait, 'name'>): string {
  return out ?? join(vectors, `monitoring-${trait.name}`);
}

async function readPrompts(file: string | undefined): Promise<string[] | undefined> {
  if (file === undefined) return undefined;
  const { readGradedPrompts } = await import('../../../persona/experiments/graded-prompts.ts');
  return readGradedPrompts(file);
}

const methodNames = { system: 'graded system prompts', shots: 'exemplars' } as const;

function describe(result: MonitoringExperiment, out: string): string {
  const header = [
    '',
    'points',
    'overall r',
    '95 % interval',
    'within r',
    '95 % interval',
    'random |r| 95 %',
    'above random',
  ];
  const rows = result.methods.map(({ method, points, overall, within, random }) => [
    methodNames[method],
    String(points),
    number(overall.r),
    ends(overall),
    number(within.r),
    ends(within),
    number(random.r95),
    random.percentile === null ? '–' : `${random.percentile.toFixed(1)} %`,
  ]);
  const lines: [string, string][] = [
    ['vector', `${result.trait}, ${result.pooling}, layer ${result.layer}; read at the last prompt token`],
    ['replies', `${result.samples} a point`],
    ...result.notes.map((line): [string, string] => ['note', line]),
    ['run folder', shortPath(out)],
    ['report', shortPath(join(out, 'report.html'))],
  ];
  return `${columns([header, ...rows], [0])}\n${table(lines)}`;
}

function number(value: number | null): string {
  return value === null ? '–' : value.toFixed(3);
}

function ends({ lower, upper }: Correlation): string {
  return lower === null || upper === null ? '–' : `${number(lower)} … ${number(upper)}`;
}
