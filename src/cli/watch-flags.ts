import { Option } from '@commander-js/extra-typings';
import type { LanguageModel } from '../engine/model.ts';
import type { DataError } from '../errors.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { Watched } from '../persona/projection/watch.ts';
import { defined } from '../util/defined.ts';
import { wholeNumber } from './arguments.ts';
import { type DryRunFlags, printEstimate, toRateOptions } from './dry-run.ts';
import { type ModelFlags, modelFlags } from './model-flags.ts';
import { note } from './terminal.ts';

/** The flags of every command that projects on vectors. */
export interface WatchFlags extends ModelFlags {
  readonly vector?: string[] | undefined;
  readonly vectors?: string | undefined;
  readonly layer?: number | undefined;
  readonly pool?: string | undefined;
}

/** The flags of every command that projects a file of conversations. */
export interface WatchFileFlags extends WatchFlags, DryRunFlags {
  readonly input: string;
  readonly out: string;
  readonly skipBad?: true | undefined;
  readonly json?: true | undefined;
}

/** `--vector` and where and how it is read, and how the model is held. */
export function watchFlags(): Option[] {
  return [
    new Option(
      '--vector <names...>',
      'vectors by file, run folder, or name in the folder of vectors (default: all of that folder)',
    ),
    new Option('--vectors <dir>', 'folder of vectors (default: runs)'),
    new Option('--layer <n>', "layer to project at (default: each vector's recommended one)").argParser(
      wholeNumber(1),
    ),
    new Option('--pool <name>', "which of each file's poolings (default: the one it recommends)"),
    ...modelFlags,
  ];
}

/** A model with the vectors that it is watched by. */
export interface WatchedModel {
  readonly model: LanguageModel;
  readonly watched: readonly Watched[];
}

/** A model's files and the vectors that it would be watched by; no weight is read. */
export async function readWatched(
  modelName: string,
  flags: WatchFlags,
): Promise<{ readonly checkpoint: Checkpoint; readonly watched: readonly Watched[] }> {
  const [{ loadCheckpoint }, { watchVectors }, { vectorNames }] = await Promise.all([
    import('../model/checkpoint.ts'),
    import('../persona/projection/watch.ts'),
    import('../persona/vector-folder.ts'),
  ]);
  const checkpoint = await loadCheckpoint(modelName, flags.adapter);
  const vectors = flags.vector ?? (await vectorNames(flags.vectors));
  if (vectors.length === 0) {
    const { UsageError } = await import('../errors.ts');
    throw new UsageError(
      `Expected vectors to watch, got none: "${flags.vectors ?? 'runs'}" holds none; name some with --vector, or make one with \`persona extract\`.`,
    );
  }
  const { layer, pool: pooling, vectors: folder } = flags;
  return { checkpoint, watched: await watchVectors(checkpoint, { vectors, folder, layer, pooling }) };
}

/** Loads the vectors first, so that what is wrong with them is told before any weight is read. */
export async function openWatched(
  modelName: string,
  flags: WatchFlags,
  onNotice: (line: string) => void,
  purpose: 'generate' | 'one-pass' = 'generate',
): Promise<WatchedModel> {
  const { checkpoint, watched } = await readWatched(modelName, flags);
  const { loadFromCheckpoint } = await import('../engine/load.ts');
  const { dtype, block: blockSize } = flags;
  const model = await loadFromCheckpoint(checkpoint, { purpose, ...defined({ dtype, blockSize }), onNotice });
  return { model, watched };
}

/** What projecting a file of conversations would take, printed. */
export async function estimateWatched(
  command: 'calibrate' | 'monitor',
  modelName: string,
  flags: WatchFileFlags,
): Promise<void> {
  const { checkpoint, watched } = await readWatched(modelName, flags);
  const { estimateTranscripts } = await import('../apps/estimate-transcripts.ts');
  const { dtype, block: blockSize, input, out: output } = flags;
  const estimate = await estimateTranscripts({
    ...toRateOptions(flags),
    ...defined({ dtype, blockSize, onBad: onBadConversation(flags.skipBad === true) }),
    command,
    checkpoint,
    vectors: watched.length,
    input,
    output,
  });
  printEstimate(estimate, flags.json === true);
}

/** `--skip-bad`, of commands that read conversations. */
export const skipBadOption = new Option(
  '--skip-bad',
  'leave out conversations that cannot be run, and count them',
);

/** At most this many faults are told; a file of another kind would fill the terminal. */
const toldFaults = 20;

/** What becomes of a conversation that cannot be run: told and left out with `--skip-bad`, else the end. */
export function onBadConversation(skip: boolean, tell = note): ((error: DataError) => void) | undefined {
  if (!skip) return undefined;
  let told = 0;
  return (error) => {
    told++;
    if (told <= toldFaults) tell(`left out: ${error.message}`);
    if (told === toldFaults) tell('further ones are only counted');
  };
}
