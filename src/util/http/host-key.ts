import { UsageError } from '../../errors.ts';
import { isPrivate } from './hosts.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** A key on its way to the one host that it is for. */
export interface ApiKey {
  /** Names the environment variable, which may be shown; the key itself never is. */
  readonly variable: string;
  /** Null where there is none. */
  readonly value: string | null;
}

/**
 * The key for a server, from the variable that carries its host's name, such as PERSONA_KEY_OPENROUTER_AI for openrouter.ai. So
 * no key can go to another host than its own, whatever the command line says.
 *
 * @throws UsageError where no header can carry it, or it would go over the network in clear text.
 */
export function findHostKey(base: string, environment: Environment = process.env): ApiKey {
  const url = new URL(base);
  const key = readKey(hostKeyVariable(url), environment);
  if (key.value === null || isPrivate(url)) return key;
  throw new UsageError(
    `Expected https for ${base}, because ${key.variable} holds a key that everyone on the way could read, got http; use https, or unset it.`,
    { details: { variable: key.variable } },
  );
}

/** The variable that carries a host's name, such as PERSONA_KEY_OPENROUTER_AI. */
export function hostKeyVariable({ hostname }: URL): string {
  return `PERSONA_KEY_${hostname.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}`;
}

/** The key in a variable; UsageError where no header can carry it. */
export function readKey(variable: string, environment: Environment): ApiKey {
  const value = environment[variable]?.trim() || null;
  if (value === null || /^[\x21-\x7e]+$/.test(value)) return { variable, value };
  throw new UsageError(
    `Expected ${variable} to hold one word of plain ASCII, got other characters in it; copy the key again.`,
    { details: { variable } },
  );
}

/** The header that most servers take a key in; none without one. */
export function bearer({ value }: ApiKey): Readonly<Record<string, string>> {
  return value === null ? {} : { authorization: `Bearer ${value}` };
}
