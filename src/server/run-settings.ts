import { resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import { pathKind } from '../model/read-bytes.ts';

/** Where and how a server runs this package's own commands. */
export interface RunSettings {
  /** Folder of the runs, a folder each. */
  readonly folder: string;
  /** The program of the command line and the arguments that come before a command's. */
  readonly program: readonly string[];
  /** How the command line names each model that is served, by its id here. */
  readonly models: ReadonlyMap<string, string>;
  /** Folder of the training files that can be started; null for none. */
  readonly training: string | null;
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
  { runs, training, runJudge, runsAtOnce, keepRuns }: RunFlags,
  rest: Pick<RunSettings, 'program' | 'models' | 'onTrouble'>,
): Promise<RunSettings | null> {
  if (runs === undefined) {
    const names = {
      '--training': training,
      '--run-judge': runJudge,
      '--runs-at-once': runsAtOnce,
      '--keep-runs': keepRuns,
    };
    const given = Object.entries(names).find(([, value]) => value !== undefined);
    if (given !== undefined)
      throw new UsageError(`Expected --runs with ${given[0]}, since no run is started without it.`);
    return null;
  }
  if (training !== undefined && (await pathKind(training)) !== 'folder')
    throw new UsageError(`Expected a folder of training files at "${training}", got none; make it first.`);
  return {
    ...rest,
    folder: resolve(runs),
    training: training === undefined ? null : resolve(training),
    judges: runJudge ?? [],
    atOnce: runsAtOnce ?? 1,
    kept: keepRuns ?? 200,
    stopSeconds: 20,
  };
}
