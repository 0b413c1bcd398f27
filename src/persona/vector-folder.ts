import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../errors.ts';
import { pathKind } from '../model/read-bytes.ts';
import { runFiles } from '../store/run-folder.ts';
import { nearestName } from '../util/nearest.ts';
import { PersonaVector } from './vector.ts';

/** Where vectors are found by name when nobody says. */
export const DEFAULT_VECTOR_FOLDER = 'runs';

/**
 * The file of a vector: a path ends in `.safetensors` or leads to a run folder; anything else is a name in `folder`, and
 * means the run `folder/name` or the file `folder/name.safetensors`.
 *
 * @throws UsageError saying which names there are, and which one was perhaps meant.
 */
export async function findVector(reference: string, folder: string = DEFAULT_VECTOR_FOLDER): Promise<string> {
  const places = reference.endsWith('.safetensors')
    ? [reference]
    : [
        join(folder, reference, runFiles.vector),
        join(folder, `${reference}.safetensors`),
        join(reference, runFiles.vector),
      ];
  for (const place of places) if ((await pathKind(place)) === 'file') return place;
  if (reference.endsWith('.safetensors'))
    throw new UsageError(`Expected a vector file at "${reference}", got none; check the path.`, {
      details: { file: reference },
    });
  const names = await vectorNames(folder);
  const nearest = nearestName(reference, names);
  const hint =
    nearest !== null
      ? `did you mean ${JSON.stringify(nearest)}?`
      : names.length === 0
        ? `make one with \`persona extract\`, or name another folder`
        : `it has ${names.join(', ')}`;
  throw new UsageError(`Found no vector ${JSON.stringify(reference)} in "${folder}"; ${hint}`, {
    details: { folder, name: reference },
  });
}

/** The names of the vectors in a folder, sorted; none where there is no such folder. */
export async function vectorNames(folder: string = DEFAULT_VECTOR_FOLDER): Promise<string[]> {
  if ((await pathKind(folder)) !== 'folder') return [];
  const entries = await readdir(folder, { withFileTypes: true });
  const names = await Promise.all(
    entries.map(async (entry) => {
      if (entry.isFile() && entry.name.endsWith('.safetensors'))
        return entry.name.slice(0, -'.safetensors'.length);
      const isRun = (await pathKind(join(folder, entry.name, runFiles.vector))) === 'file';
      return isRun ? entry.name : null;
    }),
  );
  return names.filter((name) => name !== null).sort();
}

/** Loads a vector that is named as `findVector` understands it. */
export async function loadVector(
  reference: string,
  options: { readonly folder?: string | undefined; readonly pooling?: string | undefined } = {},
): Promise<PersonaVector> {
  return PersonaVector.load(await findVector(reference, options.folder), options.pooling);
}
