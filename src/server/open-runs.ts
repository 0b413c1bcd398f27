import { RunEvents } from './run-events.ts';
import type { RunSettings } from './run-settings.ts';
import { Runs } from './runs.ts';
import type { ServerSettings } from './settings.ts';

/** The runs of a server, and the streams about them. */
export interface OpenRuns {
  readonly runs: Runs;
  readonly events: RunEvents;
}

/** Opens the folder of runs; errors as `Runs.open`. */
export async function openRuns(
  { models, vectors }: Pick<ServerSettings, 'models' | 'vectors'>,
  settings: RunSettings,
): Promise<OpenRuns> {
  const runs = await Runs.open({ models, vectors, settings });
  return { runs, events: new RunEvents(runs) };
}
