import { loadModel } from '../../engine/load.ts';
import type { LanguageModel, LoadOptions } from '../../engine/model.ts';
import { UsageError } from '../../errors.ts';
import { findModelFolder, type ModelFolder } from '../../model/hub-cache.ts';
import { remoteId } from '../../model/remote-spec.ts';
import { openAnswerCache } from '../../store/answer-cache.ts';
import { answerCacheFolder, cacheFolder } from '../../store/cache-folder.ts';
import type { Patience } from '../../util/http/retry.ts';
import type { JudgeSource } from '../judge.ts';
import { lexicalJudges } from '../lexical-judge.ts';
import { openRemoteProvider } from '../providers/open-provider.ts';
import { findProviderKey } from '../providers/provider-key.ts';
import { type ProviderSpec, parseProviderSpec, providerForms } from '../providers/provider-spec.ts';
import { localJudges } from './local-judge.ts';
import { remoteJudges } from './remote-judge.ts';

export interface OpenJudgeOptions {
  /** Sampled answers a metric; default 0 where the provider gives log-probabilities, else 5. */
  readonly samples?: number | undefined;
  /** Requests under way at once; default 16. */
  readonly concurrency?: number | undefined;
  /** Requests that may begin within a minute; default: as many as there are. */
  readonly perMinute?: number | undefined;
  /** Told of pauses that a person would wonder about. */
  readonly onNote?: ((line: string) => void) | undefined;
  /** Default: the process's own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly patience?: Patience;
  /** A model that is loaded already: a local judge of the same folder uses it, and leaves closing it to its owner. */
  readonly loaded?: LanguageModel;
  /** How a local judge's model is loaded otherwise. */
  readonly load?: LoadOptions;
  /** For tests: where a provider's own address leads instead. */
  readonly base?: string;
}

/** How a judge is spelled, for help and messages. */
export const judgeForms = `lexical, ${providerForms}`;

/** Requests at once, unless told otherwise: half a minute for a thousand, and within the smallest paid limits. */
export const CONCURRENCY = 16;
/** Samples of a provider that gives nothing else: their mean is uncertain by a few points, and the bill five times as long. */
export const SAMPLES = 5;

/**
 * Opens the judge that `--judge` names; see `judgeForms`. Nothing is asked yet.
 *
 * @throws UsageError for a name that is none, a missing key, and log-probabilities asked of a model that has none.
 */
export async function openJudge(name: string, options: OpenJudgeOptions = {}): Promise<JudgeSource> {
  if (name === 'lexical') return lexicalJudges;
  const spec = parseJudge(name);
  if (spec.kind === 'local') return openLocal(spec.path, name, options);
  const { concurrency = CONCURRENCY, perMinute, environment, patience, onNote, base } = options;
  const provider = openRemoteProvider(spec, {
    limits: { concurrency, perMinute },
    onNote,
    ...(environment === undefined ? {} : { environment }),
    ...(patience === undefined ? {} : { patience }),
    ...(base === undefined ? {} : { base }),
  });
  const samples = options.samples ?? (spec.kind === 'anthropic' ? SAMPLES : 0);
  const cache = await openAnswerCache(answerCacheFolder(cacheFolder(environment), spec.id));
  return remoteJudges({ provider, cache, samples, concurrency });
}

/**
 * Finds what is wrong with a judge's name, its key or its folder, without opening anything.
 *
 * @throws UsageError as `openJudge`.
 */
export async function checkJudge(
  name: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<void> {
  if (name === 'lexical') return;
  const spec = parseJudge(name);
  if (spec.kind === 'local') await findModelFolder(spec.path);
  else findProviderKey(spec, environment);
}

async function openLocal(path: string, name: string, options: OpenJudgeOptions): Promise<JudgeSource> {
  const { load } = options;
  const found = await findModelFolder(path);
  // A judge is the model as it is, whatever adapter is being judged.
  const loaded = options.loaded?.adapter?.base ?? options.loaded;
  if (loaded !== undefined && isSame(loaded.checkpoint, found))
    return localJudges(name, { model: loaded, owned: false });
  const model = await loadModel(path, load);
  try {
    return await localJudges(name, { model, owned: true });
  } catch (error) {
    await model.close();
    throw error;
  }
}

function isSame(a: ModelFolder, b: ModelFolder): boolean {
  const server = ({ remote }: ModelFolder): string | null => (remote === null ? null : remoteId(remote));
  return a.folder === b.folder && a.file === b.file && server(a) === server(b);
}

function parseJudge(name: string): ProviderSpec {
  if (name.includes(':')) return parseProviderSpec(name);
  throw new UsageError(`Expected a judge such as ${judgeForms}, got "${name}".`, {
    details: { judge: name },
  });
}
