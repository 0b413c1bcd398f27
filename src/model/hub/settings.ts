import { join } from 'node:path';
import { UsageError } from '../../errors.ts';
import { isPrivate } from '../../util/http/hosts.ts';
import { hubCacheFolder, hubHomeFolder } from '../hub-cache.ts';
import type { Environment } from '../hub-cache.ts';
import { pathKind, readSmallFile } from '../read-bytes.ts';

/** Where models come from, and where they go. */
export interface HubSettings {
  /** URL without a slash at the end. */
  readonly endpoint: string;
  /** Access token; null without one. It may go to the endpoint's own host and nowhere else. */
  readonly token: string | null;
  /** Whether there is a token that is not sent, because everyone on the way could read it. */
  readonly tokenWithheld: boolean;
  /** Absolute folder of the Hub cache. */
  readonly cache: string;
  /** Nothing may be asked of the network. */
  readonly offline: boolean;
}

/** What a caller sets itself; the environment, as Hugging Face's own tools read it, gives the rest. */
export interface HubOptions {
  /** Default: HF_ENDPOINT, else https://huggingface.co. */
  readonly endpoint?: string;
  /** Default: HF_TOKEN, else the file that `hf auth login` writes. */
  readonly token?: string;
  /** Default: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. */
  readonly cacheDir?: string;
}

const DEFAULT_ENDPOINT = 'https://huggingface.co';
/** A token has some 40 characters, one from an identity provider some thousands. */
const MAX_TOKEN_BYTES = 16_384;

/**
 * The settings that hold for a download.
 *
 * @throws UsageError for an endpoint that is no http(s) URL and a token that no header can carry.
 */
export async function hubSettings(
  options: HubOptions,
  environment: Environment = process.env,
): Promise<HubSettings> {
  const endpoint = parseEndpoint(options.endpoint ?? (environment['HF_ENDPOINT'] || DEFAULT_ENDPOINT));
  const places =
    options.cacheDir === undefined ? environment : { ...environment, HF_HUB_CACHE: options.cacheDir };
  const token = checkToken(options.token ?? (await findToken(environment)));
  const mayBeSent = isPrivate(new URL(endpoint));
  return {
    endpoint,
    token: mayBeSent ? token : null,
    tokenWithheld: !mayBeSent && token !== null,
    cache: hubCacheFolder(places),
    offline: isTrue(environment['HF_HUB_OFFLINE']) || isTrue(environment['TRANSFORMERS_OFFLINE']),
  };
}

function parseEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const plain =
    url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!plain || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    // Not shown: a URL with a password in it is one of the mistakes.
    throw new UsageError(
      'Expected the Hub endpoint (HF_ENDPOINT) to be a URL such as https://huggingface.co, without password or query, got another text; correct it or unset it.',
    );
  }
  return url.href.replace(/\/+$/, '');
}

/** The token of the environment, as Hugging Face's tools find it. */
async function findToken(environment: Environment): Promise<string | null> {
  if (isTrue(environment['HF_HUB_DISABLE_IMPLICIT_TOKEN'])) return null;
  const given = environment['HF_TOKEN'] || environment['HUGGING_FACE_HUB_TOKEN'];
  if (given !== undefined && given !== '') return given;
  const file = environment['HF_TOKEN_PATH'] || join(hubHomeFolder(environment), 'token');
  if ((await pathKind(file)) !== 'file') return null;
  return new TextDecoder().decode(await readSmallFile(file, MAX_TOKEN_BYTES));
}

/** A token without the line break that files and shells add to it; null for an empty one. */
function checkToken(token: string | null): string | null {
  const trimmed = token?.trim() ?? '';
  if (trimmed === '') return null;
  if (/^[\x21-\x7e]+$/.test(trimmed)) return trimmed;
  // Never shown, not even in part.
  throw new UsageError(
    'Expected the Hub token (HF_TOKEN, or the file of "hf auth login") to be one word of plain ASCII, got other characters in it; copy it again from the Hub\'s settings page.',
  );
}

function isTrue(value: string | undefined): boolean {
  return ['1', 'ON', 'YES', 'TRUE'].includes(value?.toUpperCase() ?? '');
}
