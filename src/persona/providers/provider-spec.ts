import { UsageError } from '../../errors.ts';

/** What `--judge` and `--with` name, taken apart. */
export type ProviderSpec =
  | { readonly kind: 'openai' | 'anthropic'; readonly id: string; readonly model: string }
  /** Any server that speaks OpenAI's protocol; `base` ends without a slash. */
  | { readonly kind: 'compatible'; readonly id: string; readonly base: string; readonly model: string }
  | { readonly kind: 'local'; readonly id: string; readonly path: string };

/** How a provider is spelled, for messages and help. */
export const providerForms = 'openai:MODEL, anthropic:MODEL, http(s)://HOST/v1#MODEL or local:PATH-OR-REPO';

/**
 * Reads a provider's name.
 *
 * @throws UsageError for anything else, and for a URL with a user name, password or query: what is secret has no place there.
 */
export function parseProviderSpec(text: string): ProviderSpec {
  const [, kind, rest] = /^(openai|anthropic|local):(.+)$/s.exec(text) ?? [];
  if (rest !== undefined && !/[\s\p{Cc}]/u.test(kind === 'local' ? '' : rest)) {
    if (kind === 'local') return { kind, id: text, path: rest };
    return { kind: kind as 'openai' | 'anthropic', id: text, model: rest };
  }
  if (/^https?:/i.test(text)) return parseUrl(text);
  throw new UsageError(`Expected ${providerForms}, got "${text}".`, { details: { provider: text } });
}

function parseUrl(text: string): ProviderSpec {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url !== null && url.username === '' && url.password === '' && url.search === '';
  if (!isPlain) {
    // Not shown: a URL with a password in it is one of the mistakes.
    throw new UsageError(
      'Expected the address of a provider to be like http://127.0.0.1:8080/v1#model, without user name, password or query, got another text; a key belongs into the environment.',
    );
  }
  const model = decodeURIComponent(url.hash.slice(1));
  if (model === '') {
    throw new UsageError(
      `Expected "${text}" to name a model after "#", as in http://127.0.0.1:8080/v1#model, got none; the server's /models lists what it has.`,
      { details: { provider: text } },
    );
  }
  url.hash = '';
  const base = url.href.replace(/\/+$/, '');
  return { kind: 'compatible', id: `${base}#${model}`, base, model };
}
