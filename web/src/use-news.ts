import { useEffect } from 'react';
import { ServerRefusal } from '../../src/server/client.ts';
import { useSecrets } from './connection.ts';

/** Milliseconds before a stream that ended is opened again. */
const again = 2000;

/**
 * Listens to a stream as long as the component is shown, and opens it again where it ends; a refusal stays one.
 *
 * @param key Another one begins another stream.
 */
export function useNews<News>(
  key: string,
  open: (signal: AbortSignal) => AsyncIterable<News>,
  onNews: (news: News) => void,
): void {
  const { apiKey, token } = useSecrets();
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const listen = async (): Promise<void> => {
      while (!signal.aborted) {
        try {
          for await (const news of open(signal)) if (!signal.aborted) onNews(news);
        } catch (error) {
          if (error instanceof ServerRefusal && error.status < 500) return;
        }
        await new Promise((resolve) => setTimeout(resolve, again));
      }
    };
    void listen();
    return () => controller.abort();
    // The functions are made anew with every drawing, and mean the same for the same key.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [key, apiKey, token]);
}
