import { traitSet } from '../persona/trait-set.ts';
import { findVector } from '../persona/vector-folder.ts';
import { isDatasetFile } from '../store/dataset/dataset-files.ts';
import { HttpFailure } from './failure.ts';
import { checkVectorName, nameableVectors } from './persona.ts';
import { findModel } from './replies.ts';
import { needsTrait, trainsModels } from './run-command.ts';
import { dataFiles, fileInside, trainingFiles } from './run-files.ts';
import type { RunSettings } from './run-settings.ts';
import { experimentNames, type RunOptions, type RunRequest } from './runs-api.ts';
import type { ServedModel, ServerSettings } from './settings.ts';

/** What runs are made of. */
export type RunScene = Pick<ServerSettings, 'models' | 'vectors'> & { readonly settings: RunSettings };

/** What a request can name here. */
export async function runOptions({ models, vectors, settings }: RunScene): Promise<RunOptions> {
  return {
    models: await Promise.all(models.map(async (one) => ({ id: one.id, traits: await traitsOf(one) }))),
    training: settings.training === null ? null : await trainingFiles(settings.training),
    data: settings.data === null ? null : await dataFiles(settings.data),
    experiments: [...experimentNames],
    vectors: await nameableVectors(vectors),
    judges: ['lexical', ...settings.judges],
  };
}

/**
 * Refuses a request that names what is not offered; no name reaches a command line otherwise.
 *
 * @throws HttpFailure 400, or 409 for a vector's name that is taken.
 */
export async function checkRequest(request: RunRequest, scene: RunScene): Promise<void> {
  const { models, vectors, settings } = scene;
  if (request.kind === 'train') {
    await trainingFile(request.file, settings);
    return;
  }
  if (request.kind === 'screen') await dataFile(request.data, settings);
  const model = findModel(models, request.model);
  const names = await nameableVectors(vectors);
  if (request.kind === 'screen') {
    for (const name of request.vectors) checkVectorName(name, names, 'vectors');
    return;
  }
  const { trait, judge } = request;
  if (judge !== undefined && judge !== 'lexical' && !settings.judges.includes(judge))
    throw unknown(
      'judge',
      `a judge that the server was started with (${['lexical', ...settings.judges].join(', ')})`,
      judge,
    );
  if (typeof trait === 'string' && !(await traitsOf(model)).includes(trait))
    throw unknown('trait', `a trait that ships for ${model.id}`, trait);
  if (typeof trait === 'object' && (judge ?? 'lexical') === 'lexical')
    throw new HttpFailure(
      400,
      'expected a judge that is a language model, which writes the trait’s questions; start the server with --judge and name it',
      { param: 'judge' },
    );
  if (request.kind === 'extract') {
    if (request.save_as !== undefined && names.includes(request.save_as))
      throw new HttpFailure(409, `there is a vector "${request.save_as}" already; choose another name`, {
        param: 'save_as',
      });
    return;
  }
  if (trainsModels(request.name) && model.model.adapter !== undefined)
    throw new HttpFailure(
      400,
      `expected a model without an adapter for ${request.name}, which trains whole models; name the base, or serve the two merged`,
      { param: 'model' },
    );
  if (!needsTrait(request.name)) return;
  if (trait === undefined)
    throw new HttpFailure(400, `expected a trait for ${request.name}`, { param: 'trait' });
  if (request.vector === undefined)
    throw new HttpFailure(400, `expected a vector for ${request.name}`, { param: 'vector' });
  checkVectorName(request.vector, names, 'vector');
}

/** The path of a training file that a request names; HttpFailure 400 for one that is not in the folder. */
export async function trainingFile(name: string, { training }: RunSettings): Promise<string> {
  if (training === null)
    throw new HttpFailure(400, 'this server starts no trainings; start it with --training FOLDER', {
      code: 'no_training',
    });
  const file = name.endsWith('.json') ? await fileInside(training, name) : null;
  if (file !== null) return file;
  throw unknown('file', 'a training file in the folder of --training', name);
}

/** The path of a data set that a request names; HttpFailure 400 for one that is not in the folder. */
export async function dataFile(name: string, { data }: RunSettings): Promise<string> {
  if (data === null)
    throw new HttpFailure(400, 'this server screens nothing; start it with --data FOLDER', {
      code: 'no_data',
    });
  const file = isDatasetFile(name) ? await fileInside(data, name) : null;
  if (file !== null) return file;
  throw unknown('data', 'a data set in the folder of --data', name);
}

/** The file of a vector that a request names; HttpFailure 400 for one that is no longer there. */
export async function vectorFile(name: string, folder: string): Promise<string> {
  checkVectorName(name, await nameableVectors(folder), 'vectors');
  return findVector(name, folder);
}

async function traitsOf({ model }: ServedModel): Promise<string[]> {
  return (await traitSet({ modelFolder: model.checkpoint.folder })).map(({ name }) => name);
}

function unknown(param: string, expected: string, got: string): HttpFailure {
  return new HttpFailure(400, `expected ${expected}, got ${JSON.stringify(got.slice(0, 100))}`, { param });
}
