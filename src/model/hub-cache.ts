import { homedir } from 'node:os';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { UsageError } from '../errors.ts';
import { isGguf } from './gguf-header.ts';
import { parseRemoteSpec, type RemoteSpec } from './remote-spec.ts';
import { openFile, pathKind, readExactly, readSmallFile } from './read-bytes.ts';

/** A folder with a model or an adapter in it, or a model in a GGUF file, and what reports call it. */
export interface ModelFolder {
  /** Absolute; of a file the folder that it lies in. */
  readonly folder: string;
  /** The GGUF file, absolute; null where the folder is the model. */
  readonly file: string | null;
  /** The folder's last part, the file's name without `.gguf`, or `owner/name` for a snapshot of the Hub cache. */
  readonly id: string;
  /** Commit of the snapshot; null for a plain folder or file. */
  readonly revision: string | null;
  /** The server that computes the model, of which only the small files lie here; null where the weights do too. */
  readonly remote: RemoteSpec | null;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The folder or GGUF file that `pathOrRepo` means: a path, or `owner/name` or `owner/name@revision` (a branch, tag or commit; default
 * main) in the local Hugging Face cache. A path that exists goes first. Nothing is downloaded. Of a model on a server
 * (`parseRemoteSpec`) it is what holds the small files.
 *
 * @throws UsageError when it is neither, saying where was looked.
 */
export async function findModelFolder(
  pathOrRepo: string,
  environment: Environment = process.env,
): Promise<ModelFolder> {
  const remote = parseRemoteSpec(pathOrRepo);
  if (remote !== null) return findRemoteFiles(remote, environment);
  const kind = pathOrRepo === '' ? null : await pathKind(pathOrRepo);
  if (kind === 'folder') return describeFolder(resolve(pathOrRepo));
  if (kind === 'file' && (await beginsAsGguf(pathOrRepo))) return describeFile(resolve(pathOrRepo));
  if (kind !== null) throw notAFolder(pathOrRepo);
  const repo = parseHubName(pathOrRepo);
  if (repo === null) throw nothingThere(pathOrRepo);
  return findSnapshot(repo, hubCacheFolder(environment));
}

/** Where Hugging Face's tools keep downloads: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. */
export function hubCacheFolder(environment: Environment = process.env): string {
  const given = environment['HF_HUB_CACHE'] || environment['HUGGINGFACE_HUB_CACHE'];
  if (given !== undefined && given !== '') return resolve(expandHome(given, homeOf(environment)));
  return join(hubHomeFolder(environment), 'hub');
}

/** Where Hugging Face's tools keep their settings: HF_HOME, else ~/.cache/huggingface. */
export function hubHomeFolder(environment: Environment = process.env): string {
  const set = (name: string): string | null => environment[name] || null;
  const home = homeOf(environment);
  const base = set('HF_HOME') ?? join(set('XDG_CACHE_HOME') ?? join(home, '.cache'), 'huggingface');
  return resolve(expandHome(base, home));
}

/** A model on the Hub at a revision: a branch, a tag, `refs/pr/1` or a commit. */
export interface HubName {
  /** `owner/name`. */
  readonly name: string;
  readonly revision: string;
}

/** `owner/name` or `owner/name@revision` (default main); null for any other text. Safe as parts of a path. */
export function parseHubName(text: string): HubName | null {
  const match = /^(?<name>[\w.-]{1,96}\/[\w.-]{1,96})(?:@(?<revision>[\w./-]{1,256}))?$/.exec(text);
  const { name, revision = 'main' } = match?.groups ?? {};
  if (name === undefined) return null;
  // The name and the revision become parts of paths below the cache, which "." and ".." would leave.
  const parts = [...name.split('/'), ...revision.split('/')];
  return parts.some((part) => part === '' || part === '.' || part === '..') ? null : { name, revision };
}

/** The name of a model's folder in a Hub cache. */
export function repoFolderName(name: string): string {
  return `models--${name.replace('/', '--')}`;
}

/** A commit's full hash, the name of a snapshot's folder. */
export const COMMIT: RegExp = /^[0-9a-f]{40}$/;
/** A ref's file holds one commit hash. */
const MAX_REF_BYTES = 256;

async function findSnapshot({ name, revision }: HubName, cache: string): Promise<ModelFolder> {
  const repoFolder = join(cache, repoFolderName(name));
  if ((await pathKind(repoFolder)) !== 'folder') throw notInCache(name, cache);
  const commit = COMMIT.test(revision) ? revision : await readRef(join(repoFolder, 'refs', revision));
  const folder = join(repoFolder, 'snapshots', commit ?? revision);
  if (commit === null || (await pathKind(folder)) !== 'folder') throw noRevision(name, revision, cache);
  return { folder, file: null, id: name, revision: commit, remote: null };
}

/** The server is not asked. */
async function findRemoteFiles(remote: RemoteSpec, environment: Environment): Promise<ModelFolder> {
  const { files, model } = remote;
  const isRepo = parseHubName(files) !== null;
  if (!isRepo && (await pathKind(files)) === null) throw noSmallFiles(remote);
  return { ...(await findModelFolder(files, environment)), id: model, remote };
}

function describeFile(file: string): ModelFolder {
  return { folder: dirname(file), file, id: basename(file, '.gguf'), revision: null, remote: null };
}

async function beginsAsGguf(path: string): Promise<boolean> {
  const file = await openFile(path);
  try {
    const start = new Uint8Array(Math.min(4, file.size));
    await readExactly(file, start, 0);
    return isGguf(start);
  } finally {
    await file.handle.close();
  }
}

/** The commit that a branch or tag stands for; null when the cache does not know it. */
async function readRef(file: string): Promise<string | null> {
  if ((await pathKind(file)) !== 'file') return null;
  const commit = new TextDecoder().decode(await readSmallFile(file, MAX_REF_BYTES)).trim();
  return COMMIT.test(commit) ? commit : null;
}

/** A path that leads into a snapshot of a Hub cache is named as the Hub names it. */
function describeFolder(folder: string): ModelFolder {
  const parts = folder.split(sep);
  const [repo = '', snapshots, commit = ''] = parts.slice(-3);
  const name = /^models--(?<owner>[\w.-]+?)--(?<name>[\w.-]+)$/.exec(repo)?.groups;
  if (name === undefined || snapshots !== 'snapshots' || !COMMIT.test(commit)) {
    return { folder, file: null, id: basename(folder) || folder, revision: null, remote: null };
  }
  return { folder, file: null, id: `${name['owner']}/${name['name']}`, revision: commit, remote: null };
}

function homeOf(environment: Environment): string {
  return environment['HOME'] || homedir();
}

function expandHome(path: string, home: string): string {
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : path;
}

function notAFolder(path: string): UsageError {
  return new UsageError(
    `Expected a model folder or a GGUF file, got the file "${path}"; name the folder that holds config.json and the weights.`,
    { details: { path } },
  );
}

function noSmallFiles({ kind, base, model, files }: RemoteSpec): UsageError {
  return new UsageError(
    `Expected config.json and the tokenizer of ${JSON.stringify(model)} at "${files}" here, got nothing there; download them (persona pull OWNER/NAME --allow "*.json") and name them behind the model, as in ${kind}:${base}#${model}&files=OWNER/NAME.`,
    { details: { path: files } },
  );
}

function nothingThere(path: string): UsageError {
  return new UsageError(
    `Expected a model folder or a Hub name such as owner/name, got ${JSON.stringify(path)}, where nothing is; check the path.`,
    { details: { path } },
  );
}

function notInCache(name: string, cache: string): UsageError {
  return new UsageError(
    `Found neither a folder "${name}" nor that model in the Hugging Face cache "${cache}"; check the path, or download the model first ("persona pull ${name}").`,
    { details: { path: name, cache } },
  );
}

function noRevision(name: string, revision: string, cache: string): UsageError {
  return new UsageError(
    `Expected revision "${revision}" of ${name} in the Hugging Face cache "${cache}", but it is not there; download it first ("persona pull ${name}@${revision}").`,
    { details: { path: name, revision, cache } },
  );
}
