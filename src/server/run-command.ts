import { dtypes } from '../engine/model.ts';
import { servedRunPaths } from '../store/served-run.ts';
import type { RunSettings } from './run-settings.ts';
import type { RunRequest } from './runs-api.ts';
import type { ServedModel } from './settings.ts';

/** A command line of this package, without the program's own name. */
export interface RunCommand {
  readonly args: readonly string[];
  /** A file that says that this command is done and need not be run again. */
  readonly makes: string | null;
}

/** What a request's names mean here. They are checked already; see `checkRequest`. */
interface RunPlace {
  readonly models: readonly ServedModel[];
  /** How the command line names them. */
  readonly names: RunSettings['models'];
  /** The folder of the run. */
  readonly folder: string;
  /** The folder of vectors. */
  readonly vectors: string;
  /** Path of the training file or data set that the request names. */
  readonly file: string | null;
  /** Paths of the vectors that a screening names. */
  readonly vectorFiles: readonly string[];
}

/** Forty pairs, and every cell of the sweep once for each question: a minute or so on a small model. */
const quickExtraction =
  '--samples=1 --questions=8 --sweep-samples=1 --no-fine --no-held-out --no-dose-response --force'.split(' ');

/** What `quick` means for an experiment: its own flag, or few replies. */
const quickExperiments: Readonly<Record<Experiment['name'], readonly string[]>> = {
  monitoring: ['--samples', '1', '--random-directions', '20', '--max-tokens', '60'],
  steering: ['--samples', '1', '--turns', '2', '--max-tokens', '60'],
  finetuning: ['--quick'],
  screening: ['--quick'],
  reproduce: ['--quick'],
};
type Experiment = Extract<RunRequest, { kind: 'experiment' }>;

/** The commands that a run consists of, one after the other. Whatever a client has named comes behind a flag of its own. */
export function commandsOf(request: RunRequest, place: RunPlace): RunCommand[] {
  const output = servedRunPaths.output(place.folder);
  if (request.kind === 'train') return [command(['train', place.file!, '--output', output])];
  const model = place.models.find(({ id }) => id === request.model)!.model;
  const dtype = dtypes.find((name) => name !== 'fp32' && model.precision.startsWith(name));
  const held = dtype === undefined ? [] : [`--dtype=${dtype}`];
  const named = place.names.get(request.model)!;
  if (request.kind === 'screen') {
    const { mode, percentile, sample } = request;
    const options = Object.entries({ mode, percentile, sample }).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}=${value}`],
    );
    const along = place.vectorFiles.map((file) => `--vector=${file}`);
    return [command(['screen', ...named, place.file!, `--out=${output}`, ...along, ...held, ...options])];
  }
  const judge = request.judge === undefined ? [] : [`--judge=${request.judge}`];
  if (request.kind === 'extract') {
    const { trait, quick } = request;
    const file = typeof trait === 'string' ? trait : servedRunPaths.trait(place.folder, trait.name);
    const options = [...judge, ...held, ...(quick === true ? quickExtraction : [])];
    const extract = command(['extract', ...named, file, `--out=${output}`, ...options]);
    return typeof trait === 'string' ? [extract] : [describedTrait(trait, file, request.judge), extract];
  }
  const { name, trait, vector, quick } = request;
  const isTraits = needsTrait(name);
  return [
    command([
      ...(name === 'reproduce' ? [name] : ['experiment', name]),
      ...named,
      `--out=${output}`,
      ...judge,
      ...(isTraits ? [`--trait=${trait}`, `--vector=${vector}`, `--vectors=${place.vectors}`] : []),
      ...(isTraits || name === 'reproduce' ? held : []),
      ...(quick === true ? quickExperiments[name] : []),
    ]),
  ];
}

/** Whether an experiment trains models, which it does from whole ones. */
export function trainsModels(name: Experiment['name']): boolean {
  return !needsTrait(name);
}

/** Whether an experiment is one of a single trait and its vector. */
export function needsTrait(name: Experiment['name']): boolean {
  return name === 'monitoring' || name === 'steering';
}

function describedTrait(
  { name, description }: { readonly name: string; readonly description: string },
  file: string,
  judge: string | undefined,
): RunCommand {
  const args = [
    'trait',
    'new',
    name,
    `--description=${description}`,
    `--with=${judge ?? ''}`,
    `--out=${file}`,
  ];
  return { args, makes: file };
}

function command(args: readonly string[]): RunCommand {
  return { args, makes: null };
}
