import { UsageError } from '../../errors.ts';
import { type ApiKey, findHostKey, readKey } from '../../util/http/host-key.ts';
import type { ProviderSpec } from './provider-spec.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The key for a provider, from the environment: OPENAI_API_KEY for OpenAI, ANTHROPIC_API_KEY for Anthropic, and for any other
 * server the one of its host (see `findHostKey`).
 *
 * @throws UsageError where a key is needed and missing, no header can carry it, or it would go over the network in clear text.
 */
export function findProviderKey(
  spec: Exclude<ProviderSpec, { kind: 'local' }>,
  environment: Environment = process.env,
): ApiKey {
  if (spec.kind === 'compatible') return findHostKey(spec.base, environment);
  const key = readKey(spec.kind === 'openai' ? 'OPENAI_API_KEY' : 'ANTHROPIC_API_KEY', environment);
  if (key.value !== null) return key;
  throw new UsageError(
    `Expected a key for ${spec.id} in the environment variable ${key.variable}, got none; set it, or choose a judge that needs no key (local:PATH, or a server of your own).`,
    { details: { variable: key.variable } },
  );
}
