import { QueryClient } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';
import { PersonaClient, ServerRefusal } from '../../src/server/client.ts';

/** What the server lets this tab do. Kept as long as the tab is open, and nowhere else. */
interface Secrets {
  /** Of every call, where the server has keys. */
  readonly apiKey: string;
  /** Of calls that change something. */
  readonly token: string;
}

const places = { apiKey: 'persona-api-key', token: 'persona-token' } as const;
const listeners = new Set<() => void>();
let secrets: Secrets = {
  apiKey: sessionStorage.getItem(places.apiKey) ?? '',
  token: sessionStorage.getItem(places.token) ?? '',
};
let client = connect();

function connect(): PersonaClient {
  const { apiKey, token } = secrets;
  return new PersonaClient({
    url: location.origin,
    ...(apiKey !== '' && { apiKey }),
    ...(token !== '' && { token }),
  });
}

/** The server that this page came from. */
export function server(): PersonaClient {
  return client;
}

/** Keeps a key or token for this tab. */
export function setSecret(name: keyof Secrets, value: string): void {
  sessionStorage.setItem(places[name], value);
  secrets = { ...secrets, [name]: value };
  client = connect();
  for (const listener of listeners) listener();
}

/** The key and the token of this tab; empty where none was given. */
export function useSecrets(): Secrets {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => secrets,
  );
}

/** Whether the server asks for a key that it knows. */
export function needsKey(error: unknown): boolean {
  return error instanceof ServerRefusal && error.status === 401 && error.code === 'invalid_api_key';
}

/** What an error says, as a sentence. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ServerRefusal) return error.message;
  if (error instanceof TypeError) return 'the server does not answer; see whether it still runs';
  return error instanceof Error ? error.message : 'something went wrong';
}

/** Answers of the server, shared by the views. */
export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A refusal stays one; what did not get through is tried once more.
      retry: (failures, error) => !(error instanceof ServerRefusal) && failures < 1,
      staleTime: 10_000,
    },
  },
});
