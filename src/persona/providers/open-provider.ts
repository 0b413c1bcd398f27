import { loadModel } from '../../engine/load.ts';
import type { LoadOptions } from '../../engine/model.ts';
import type { Patience } from '../../util/http/retry.ts';
import { ApiClient } from '../../util/http/api-client.ts';
import { type ApiKey, bearer } from '../../util/http/host-key.ts';
import { type GateLimits, RequestGate } from '../../util/http/request-gate.ts';
import { ANTHROPIC_VERSION, anthropicMessages } from './anthropic-messages.ts';
import type { ChatProvider } from './chat-provider.ts';
import { openAiChat } from './openai-chat.ts';
import { findProviderKey } from './provider-key.ts';
import { localProvider } from './local-provider.ts';
import { type ProviderSpec, parseProviderSpec } from './provider-spec.ts';

export interface ProviderOptions {
  readonly limits: GateLimits;
  readonly patience?: Patience;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly onNote?: ((line: string) => void) | undefined;
  /** For tests: where a provider's own address leads instead. */
  readonly base?: string;
}

/** A provider that is asked over the network. */
export type RemoteSpec = Exclude<ProviderSpec, { kind: 'local' }>;

/** Busy hours pass within minutes; a server that computes on a laptop may take a minute for an answer. */
const patience: Patience = { attempts: 8, firstPauseMs: 1000, longestPauseMs: 60_000, stallMs: 180_000 };

const addresses = { openai: 'https://api.openai.com/v1', anthropic: 'https://api.anthropic.com/v1' };

/**
 * Opens a provider that is asked over the network; nothing is sent yet.
 *
 * @throws UsageError where its key is missing.
 */
export function openRemoteProvider(spec: RemoteSpec, options: ProviderOptions): ChatProvider {
  const key = findProviderKey(spec, options.environment);
  const client = new ApiClient({
    id: spec.id,
    base: options.base ?? (spec.kind === 'compatible' ? spec.base : addresses[spec.kind]),
    headers: authorisation(spec.kind, key),
    key,
    patience: options.patience ?? patience,
    gate: new RequestGate(options.limits),
    onNote: options.onNote,
  });
  const { id, model } = spec;
  if (spec.kind === 'anthropic') return anthropicMessages({ id, model, client });
  return openAiChat({ id, model, client, official: spec.kind === 'openai' });
}

/**
 * Opens any provider by its name; a local one loads its model.
 *
 * @throws UsageError for a name that is none, a missing key, or a model that holds no conversations.
 */
export async function openProvider(
  name: string,
  { load, ...options }: ProviderOptions & { readonly load?: LoadOptions },
): Promise<ChatProvider> {
  const spec = parseProviderSpec(name);
  if (spec.kind !== 'local') return openRemoteProvider(spec, options);
  const model = await loadModel(spec.path, load);
  try {
    return localProvider(spec.id, model);
  } catch (error) {
    await model.close();
    throw error;
  }
}

function authorisation(kind: RemoteSpec['kind'], key: ApiKey): Readonly<Record<string, string>> {
  if (kind === 'anthropic') return { 'x-api-key': key.value ?? '', 'anthropic-version': ANTHROPIC_VERSION };
  return bearer(key);
}
