import { hubSettings } from '../model/hub/settings.ts';
import { type PlannedFile, planSnapshot } from '../model/hub/plan.ts';
import { freeBytes } from '../util/free-bytes.ts';
import { assemble, type Estimate } from './estimate.ts';
import { warnings } from './estimate-parts.ts';
import { type PullOptions, parseName } from './pull.ts';

/**
 * What a download will take: its bytes, of which those in the cache are left out. Its time depends on the line, of which
 * nothing is known here.
 *
 * @throws UsageError where the Hub refuses or cannot be reached.
 */
export async function estimatePull(repo: string, options: PullOptions = {}): Promise<Estimate> {
  const { environment = process.env } = options;
  const model = parseName(repo, options.revision);
  const settings = await hubSettings(options, environment);
  const free = await freeBytes(settings.cache);
  const files = settings.offline ? [] : (await planSnapshot(model, settings, options)).files;
  const disk = { files: files.filter(({ missing }) => missing > 0).map(toDisk), free };
  const had = files.length - disk.files.length;
  return assemble({
    command: 'pull',
    model: model.name,
    precision: null,
    steps: [],
    rate: null,
    memory: null,
    disk,
    judge: null,
    notes: [
      ...(settings.offline ? ['HF_HUB_OFFLINE is set: nothing would be downloaded.'] : []),
      ...(had > 0 ? [`${had === 1 ? '1 file is' : `${had} files are`} in the cache already.`] : []),
      ...(disk.files.length > 0 ? ['The time depends on the line.'] : []),
      ...warnings({ memory: null, disk }),
    ],
  });
}

function toDisk({ path, missing }: PlannedFile): Estimate['disk']['files'][number] {
  return { name: path, bytes: missing };
}
