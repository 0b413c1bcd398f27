import { resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import { pathKind } from '../model/read-bytes.ts';

/** Where and how a server runs this package's own commands. */
export interface RunSettings {
  /** Folder of the runs, a folder each. */
  readonly folder: string;
  /** The program of the command line and the arguments that come before a command's. */
  readonly program: readonly string[];
  /** The arguments that name each model that is served on the command line, by its id here. */
  readonly models: ReadonlyMap<string, readonly string[]>;
  /** Folder of the training files that can be started; null for none. */
  readonly training: string | null;
  /** Folder of the data sets that can be screened; null for none. */
  readonly data: string | null;
  /** Language models that may judge and write traits, as `--judge` names them. */
  readonly judges: readonly string[];
  /** Runs under way at once; others wait. */
  readonly atOnce: number;
  /** Runs in the folder; no more are started. */
  readonly kept: number;
  /** Seconds that a run has to end its step in when it is told to stop. */
  readonly stopSeconds: number;
  /** Takes a sentence about what goes wrong beside requests. */
  readonly onTrouble: (message: string) => void;
}

/** Runs as flags say them. */
export interface RunFlags {
  readonly runs?: string | undefined;
  readonly training?: string | undefined;
  readonly data?: string | undefined;
  readonly runJudge?: readonly string[] | undefined;
  readonly runsAtOnce?: number | undefined;
  readonly keepRuns?: number | undefined;
}

/**
 * Reads what flags say of runs; null where there are to be none.
 *
 * @throws UsageError for flags that nothing comes of, and for a folder that is not there.
 */
export async function readRunFlags(
  { runs, training, data, runJudge, runsAtOnce, keepRuns }: RunFlags,
  rest: Pick<RunSettings, 'program' | 'models' | 'onTrouble'>,
): Promise<RunSettings | null> {
  if (runs === undefined) {
    const names = {
      '--training': training,
      '--data': data,
      '--run-judge': runJudge,
      '--runs-at-once': runsAtOnce,
      '--keep-runs': keepRuns,
    };
    const given = Object.entries(names).find(([, value]) => value !== undefined);
    if (given !== undefined)
      throw new UsageError(`Expected --runs with ${given[0]}, since no run is started without it.`);
    return null;
  }
  return {
    ...rest,
    folder: resolve(runs),
    training: await folderOf(training, 'training files'),
    data: await folderOf(data, 'data sets'),
    judges: runJudge ?? [],
    atOnce: runsAtOnce ?? 1,
    kept: keepRuns ?? 200,
    stopSeconds: 20,
  };
}

async function folderOf(path: string | undefined, what: string): Promise<string | null> {
  if (path === undefined) return null;
  if ((await pathKind(path)) === 'folder') return resolve(path);
  throw new UsageError(`Expected a folder of ${what} at "${path}", got none; make it first.`);
}
