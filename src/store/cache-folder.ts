import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { sha256 } from '../util/hash.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where this package keeps what it can make again: PERSONA_CACHE, else `persona-vectors` in XDG_CACHE_HOME, else
 * ~/.cache/persona-vectors. Absolute; whether it is there is not asked.
 */
export function cacheFolder(environment: Environment = process.env): string {
  const own = environment['PERSONA_CACHE'];
  if (own) return resolve(own);
  const shared = environment['XDG_CACHE_HOME'];
  // The XDG rules say to ignore a relative path.
  const base = shared && isAbsolute(shared) ? shared : join(environment['HOME'] || homedir(), '.cache');
  return join(base, 'persona-vectors');
}

/**
 * The store of conversations where none is named: `monitor.sqlite` in PERSONA_DATA, else in `persona-vectors` of XDG_DATA_HOME,
 * else in ~/.local/share/persona-vectors. No cache: nobody can make it again.
 */
export function defaultStoreFile(environment: Environment = process.env): string {
  const own = environment['PERSONA_DATA'];
  if (own) return join(resolve(own), 'monitor.sqlite');
  const shared = environment['XDG_DATA_HOME'];
  const home = environment['HOME'] || homedir();
  const base = shared && isAbsolute(shared) ? shared : join(home, '.local', 'share');
  return join(base, 'persona-vectors', 'monitor.sqlite');
}

/** The folder of one model's weights in one recipe, such as `weights/Qwen-Qwen2.5-0.5B-0123456789abcdef-int8-block128`. */
export function weightCacheFolder(root: string, model: string, fingerprint: string, recipe: string): string {
  return join(root, 'weights', `${slug(model)}-${fingerprint.slice(0, 16)}-${recipe}`);
}

/** The folder of one provider's answers, such as `answers/openai-gpt-4.1-mini-0123456789abcdef`. */
export function answerCacheFolder(root: string, provider: string): string {
  return join(root, 'answers', `${slug(provider)}-${sha256(provider).slice(0, 16)}`);
}

/** The file with the rates of one model in one precision on one kind of machine. */
export function rateCacheFile(root: string, key: RateKey): string {
  const { model, fingerprint, precision, machine } = key;
  const name = `${slug(model)}-${fingerprint.slice(0, 16)}-${precision}-${sha256(machine).slice(0, 16)}.json`;
  return join(root, 'rates', name);
}

/** What a rate was measured with. */
export interface RateKey {
  readonly model: string;
  readonly fingerprint: string;
  readonly precision: string;
  /** Processor, cores, threads: whatever tells two machines apart. */
  readonly machine: string;
}

/** File names are limited to 255 bytes; the fingerprint, not the name, tells models apart. */
const MAX_SLUG = 96;

/** A name as it may stand in a path. */
export function slug(model: string): string {
  const plain = model.replaceAll(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '');
  return plain.slice(0, MAX_SLUG) || 'model';
}
