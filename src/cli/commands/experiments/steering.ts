import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Positions } from '../../../engine/types.ts';
import type { Measured } from '../../../persona/condition.ts';
import type { SteeringExperiment, SteeringPlanOptions } from '../../../persona/experiments/steering.ts';
import { type StrengthUnit, strengthUnits } from '../../../persona/strength.ts';
import type { Trait } from '../../../persona/trait.ts';
import { defined } from '../../../util/defined.ts';
import { decimal, modelArgument, numbers, seedOption, wholeNumber } from '../../arguments.ts';
import type { CommandContext } from '../../context.ts';
import { addOptions } from '../../extract-flags.ts';
import { judgedDryRunFlags, printEstimate } from '../../dry-run.ts';
import { judgeFlags } from '../../judge-flags.ts';
import { modelFlags } from '../../model-flags.ts';
import { columns, shortPath, table } from '../../render.ts';
import { print, printJson } from '../../terminal.ts';
import { addTraitOptions, dryRunScene, type TraitExperimentFlags, withTraitScene } from './scene.ts';

type Flags = TraitExperimentFlags & {
  readonly positions?: Positions | undefined;
  readonly strengthUnit?: StrengthUnit | undefined;
  readonly strengths?: number[] | undefined;
  readonly percentile?: number | undefined;
  readonly turns?: number | undefined;
  readonly turnCoef?: number | undefined;
};

/** `persona experiment steering`: what a vector does where the trait is and where it is not, by dose, by cap, by turn. */
export function steeringExperimentCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('steering')
    .description(
      'steer away from a trait and towards it, dose by dose; cap it; and hold conversations with and without a clean history',
    )
    .addArgument(modelArgument);
  addTraitOptions(command);
  command.option(
    '--out <dir>',
    'run folder; a stopped run in it is continued (default: runs/steering-TRAIT)',
  );
  addOptions(command, steeringFlags());
  return command.option('--json', 'print the result as JSON').action(async (modelName) => {
    const flags = command.opts() as unknown as Flags;
    if (flags.dryRun === true) {
      const [scene, { estimateSteeringExperiment }] = await Promise.all([
        dryRunScene(modelName, flags),
        import('../../../apps/estimate-experiments.ts'),
      ]);
      const { checkpoint, trait } = scene;
      const out = outOf(flags, trait);
      const given = { ...scene, ...planFlags(flags), model: { checkpoint }, out };
      printEstimate(await estimateSteeringExperiment(given), flags.json === true);
      return;
    }
    const { steeringExperiment } = await import('../../../persona/experiments/steering.ts');
    const { result, out } = await withTraitScene(modelName, flags, async (scene) => {
      const folder = outOf(flags, scene.trait);
      const given = { ...scene, ...planFlags(flags), out: folder, signal };
      return { result: await steeringExperiment(given), out: folder };
    });
    if (flags.json === true) printJson({ ...result, run: out });
    else print(describe(result, out));
  });
}

function steeringFlags(): Option[] {
  return [
    new Option('--layer <n>', "layer to steer at (default: the vector's recommended one)").argParser(
      wholeNumber(1),
    ),
    new Option(
      '--positions <name>',
      'where the vector is added (default: response, or as the model says)',
    ).choices(['all', 'prompt', 'response', 'boundary']),
    new Option('--strength-unit <name>', 'of strengths (default: fraction, or as the model says)').choices(
      strengthUnits,
    ),
    new Option(
      '--strengths <list>',
      'above 0; each is run with its sign turned too (default: as the model says)',
    ).argParser(numbers),
    new Option(
      '--percentile <x>',
      'of ordinary reply tokens, at which projections are capped (default: 75)',
    ).argParser(decimal(0, 100)),
    new Option(
      '--samples <n>',
      'replies to a question, and conversations that begin with it (default: 5)',
    ).argParser(wholeNumber(1)),
    new Option('--turns <n>', 'turns of a conversation (default: 8)').argParser(wholeNumber(1)),
    new Option(
      '--turn-coef <x>',
      "coefficient in conversations (default: the vector's recommended one, else the highest strength)",
    ).argParser(decimal(-Number.MAX_VALUE)),
    new Option('--max-tokens <n>', 'longest reply (default: 1000, at most half the context)').argParser(
      wholeNumber(1),
    ),
    seedOption('files'),
    ...judgeFlags(),
    ...modelFlags,
    ...judgedDryRunFlags,
  ];
}

/** What of the flags decides what is run. */
function planFlags(flags: Flags): Partial<Omit<SteeringPlanOptions, 'model' | 'trait' | 'vector'>> {
  const { layer, positions, strengthUnit, strengths, percentile } = flags;
  const { samples, turns, turnCoef, maxTokens, seed } = flags;
  return defined({
    layer,
    positions,
    strengthUnit,
    strengths,
    percentile,
    samples,
    turns,
    turnCoef,
    maxTokens,
    seed,
  });
}

function outOf({ out, vectors = 'runs' }: Flags, trait: Pick<Trait, 'name'>): string {
  return out ?? join(vectors, `steering-${trait.name}`);
}

function describe(result: SteeringExperiment, out: string): string {
  const { trait, pooling, layer, positions, samples, notes } = result;
  const lines: [string, string][] = [
    ['vector', `${trait}, ${pooling}, layer ${layer}; added at ${positions}`],
    ['replies', `${samples} to a question`],
    ...notes.map((line): [string, string] => ['note', line]),
    ['run folder', shortPath(out)],
    ['report', shortPath(join(out, 'report.html'))],
  ];
  return [doseTable(result), capTable(result), turnTable(result), table(lines)].join('\n');
}

function doseTable({ doses, spearman }: SteeringExperiment): string {
  const rows = (['prompted', 'neutral'] as const).flatMap((side) => {
    const own = doses.filter((point) => point.side === side);
    return own
      .filter(({ direction }) => direction !== 'random')
      .map((point) => {
        const random = own.find((one) => one.direction === 'random' && one.strength === point.strength);
        return [
          side,
          String(point.strength),
          ...both(point),
          ...(random === undefined ? ['', ''] : means(random)),
        ];
      });
  });
  const header = ['model', 'strength', 'score', '95 %', 'coherence', '95 %', 'random: score', 'coherence'];
  const ranks = `Spearman of strength and score: ${number(spearman.prompted, 2)} prompted, ${number(spearman.neutral, 2)} neutral\n`;
  return `${columns([header, ...rows], [0])}${ranks}`;
}

function capTable({ cap }: SteeringExperiment): string {
  const { percentile, threshold, equal, treatments } = cap;
  const names: Readonly<Record<string, string>> = {
    none: 'nothing',
    cap: `cap at ${number(threshold, 2)} (percentile ${percentile})`,
    subtract: `strength ${number(equal, 2)}`,
  };
  const rows = treatments.map(({ name, prompted, ordinary }) => [
    names[name] ?? name,
    ...means(prompted),
    ...means(ordinary),
    `${(100 * ordinary.same).toFixed(0)} %`,
    `${(100 * ordinary.kept).toFixed(0)} %`,
  ]);
  const header = [
    'treatment',
    'prompted: score',
    'coherence',
    'ordinary: score',
    'coherence',
    'unchanged',
    'before a change',
  ];
  return columns([header, ...rows], [0]);
}

function turnTable({ conversations: { coef, points } }: SteeringExperiment): string {
  const arms = [...new Set(points.map(({ arm }) => arm))];
  const turns = [...new Set(points.map(({ turn }) => turn))];
  const rows = turns.map((turn) => [
    String(turn),
    ...arms.map((arm) => {
      const point = points.find((one) => one.turn === turn && one.arm === arm)!;
      return means(point).join(' / ');
    }),
  ]);
  return `${columns([['turn', ...arms], ...rows])}score / coherence; steered at coefficient ${number(coef, 2)}\n`;
}

function both({
  score,
  lower,
  upper,
  coherence,
  coherence_lower: from,
  coherence_upper: to,
}: Measured): string[] {
  return [
    number(score),
    `${number(lower)} … ${number(upper)}`,
    number(coherence),
    `${number(from)} … ${number(to)}`,
  ];
}

function means({ score, coherence }: Measured): string[] {
  return [number(score), number(coherence)];
}

function number(value: number | null, digits = 1): string {
  return value === null ? '–' : value.toFixed(digits);
}
