import { UsageError } from '../../errors.ts';
import { isPrivate } from '../../util/http/hosts.ts';
import type { ProviderSpec } from './provider-spec.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** A key on its way to the one host that it is for. */
export interface ProviderKey {
  /** Names the environment variable, which may be shown; the key itself never is. */
  readonly variable: string;
  /** Null where there is none. */
  readonly value: string | null;
}

/**
 * The key for a provider, from the environment: OPENAI_API_KEY for OpenAI, ANTHROPIC_API_KEY for Anthropic, and for any other
 * server a variable that carries its host's name, such as PERSONA_KEY_OPENROUTER_AI for openrouter.ai. So no key can go
 * to another host than its own, whatever the command line says.
 *
 * @throws UsageError where a key is needed and missing, no header can carry it, or it would go over the network in clear text.
 */
export function findProviderKey(
  spec: Exclude<ProviderSpec, { kind: 'local' }>,
  environment: Environment = process.env,
): ProviderKey {
  const variable = keyVariable(spec);
  const value = environment[variable]?.trim() || null;
  if (value === null) {
    if (spec.kind === 'compatible') return { variable, value };
    throw new UsageError(
      `Expected a key for ${spec.id} in the environment variable ${variable}, got none; set it, or choose a judge that needs no key (local:PATH, or a server of your own).`,
      { details: { variable } },
    );
  }
  if (!/^[\x21-\x7e]+$/.test(value)) {
    throw new UsageError(
      `Expected ${variable} to hold one word of plain ASCII, got other characters in it; copy the key again.`,
      { details: { variable } },
    );
  }
  if (spec.kind === 'compatible' && !isPrivate(new URL(spec.base))) {
    throw new UsageError(
      `Expected https for ${spec.base}, because ${variable} holds a key that everyone on the way could read, got http; use https, or unset it.`,
      { details: { variable } },
    );
  }
  return { variable, value };
}

function keyVariable(spec: Exclude<ProviderSpec, { kind: 'local' }>): string {
  switch (spec.kind) {
    case 'openai':
      return 'OPENAI_API_KEY';
    case 'anthropic':
      return 'ANTHROPIC_API_KEY';
    case 'compatible':
      return `PERSONA_KEY_${new URL(spec.base).hostname.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}`;
    default:
      return spec satisfies never;
  }
}
