import { UsageError } from '../errors.ts';

/** Servers whose engines are spoken to in place of one of this process's own. */
export const remoteKinds = ['vllm-lens', 'easysteer'] as const;
export type RemoteKind = (typeof remoteKinds)[number];

/** A model on a server, as MODEL names it. */
export interface RemoteSpec {
  readonly kind: RemoteKind;
  /** Address of the server's OpenAI protocol, such as `http://gpu:8000/v1`; no slash at the end. */
  readonly base: string;
  /** What the server calls the model. */
  readonly model: string;
  /** Where its config.json and tokenizer lie here: a folder, a GGUF file, or a name in the local Hugging Face cache. */
  readonly files: string;
}

/**
 * Reads the name of a model on a server, `vllm-lens:http://gpu:8000/v1#Qwen/Qwen2.5-7B-Instruct`; null for a name of
 * another kind. `&files=PATH` behind it says where the model's small files lie, where the server's name for it does not.
 *
 * @throws UsageError for a malformed address, for one without a model, and for a user name, a password or a query in it.
 */
export function parseRemoteSpec(text: string): RemoteSpec | null {
  const kind = remoteKinds.find((name) => text.startsWith(`${name}:`));
  if (kind === undefined) return null;
  const address = text.slice(kind.length + 1);
  const url = URL.canParse(address) ? new URL(address) : null;
  const isPlain =
    url !== null &&
    (url.protocol === 'http:' || url.protocol === 'https:') &&
    url.username === '' &&
    url.password === '' &&
    url.search === '';
  // Not shown: a URL with a password in it is one of the mistakes.
  if (!isPlain)
    throw new UsageError(
      `Expected ${kind}:http(s)://HOST:PORT/v1#MODEL, without user name, password or query, got another text after "${kind}:"; a key belongs into the environment.`,
    );
  const [name = '', files = ''] = url.hash.slice(1).split('&files=');
  const model = decode(name);
  if (model === '')
    throw new UsageError(
      `Expected "${text}" to name a model after "#", as in ${kind}:http://gpu:8000/v1#Qwen/Qwen2.5-7B-Instruct, got none; the server's /v1/models lists what it has.`,
      { details: { model: text } },
    );
  url.hash = '';
  const base = url.pathname === '/' ? `${url.origin}/v1` : url.href.replace(/\/+$/, '');
  return { kind, base, model, files: files === '' ? model : decode(files) };
}

/** Percent signs that spell nothing stand for themselves. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The spec as one text, which names the model in messages. */
export function remoteId({ kind, base, model }: RemoteSpec): string {
  return `${kind}:${base}#${model}`;
}
