import type { LanguageModel } from '../engine/model.ts';
import { isThere } from '../store/files.ts';
import { machineNote } from '../store/machine-note.ts';
import { type Artifact, type Manifest, SCHEMA_VERSION, describeArtifact } from '../store/manifest.ts';
import { type RunFile, runFiles } from '../store/run-folder.ts';
import type { ExtractContext } from './extract-context.ts';
import type { Validation } from './validation-steps.ts';

/** Rollouts of each measurement, as a manifest names them. */
export function measuredCounts({ sweepRows, doseRows, heldOut }: Validation): Record<string, number> {
  return {
    sweep_rollouts: sweepRows.length,
    dose_response_rollouts: doseRows.length,
    held_out_rollouts: (heldOut?.positive ?? 0) + (heldOut?.negative ?? 0),
  };
}

/** The files that the measurements left in their folder. */
export async function measuredFiles(
  folder: ExtractContext['folder'],
  { sweep, dose, heldOut }: Validation,
): Promise<RunFile[]> {
  const fine = await isThere(folder.file('fineRollouts'));
  return [
    ...(sweep === null ? [] : (['sweepRollouts', 'sweep'] as const)),
    ...(fine ? (['fineRollouts'] as const) : []),
    ...(dose === null ? [] : (['doseRollouts', 'dose'] as const)),
    ...(heldOut === null ? [] : (['heldOutRollouts', 'heldOutActivations', 'heldOut'] as const)),
  ];
}

/** Length and hash of some of a folder's files, by name. */
export async function describeFiles(
  folder: ExtractContext['folder'],
  names: readonly RunFile[],
): Promise<Record<string, Artifact>> {
  const artifacts: Record<string, Artifact> = {};
  for (const name of names) artifacts[runFiles[name]] = await describeArtifact(folder.file(name));
  return artifacts;
}

/** What a manifest says of the model that made a result. */
export function modelNote(
  { checkpoint, precision }: Pick<LanguageModel, 'checkpoint' | 'precision'>,
  fingerprint: string,
): Manifest['model'] {
  const { id, revision, config, adapted } = checkpoint;
  const { layers, width } = config;
  return {
    id,
    revision,
    fingerprint,
    dtype: precision,
    layers,
    width,
    ...(adapted !== undefined && {
      adapter: { name: adapted.adapter.name, sha256: adapted.adapter.sha256 },
    }),
  };
}

/** What the manifest of any result of a model says of where it comes from. */
export function originOf(
  { settings }: ExtractContext,
  packageInfo: Manifest['package'],
): Pick<Manifest, 'schema' | 'package' | 'machine' | 'model' | 'trait' | 'judge'> {
  return {
    schema: SCHEMA_VERSION,
    package: packageInfo,
    machine: machineNote(),
    model: modelNote(settings.model, settings.fingerprint),
    trait: { name: settings.trait.name, sha256: settings.trait.sha256 },
    judge: settings.judge.id,
  };
}
