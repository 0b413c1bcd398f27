import type { Generated } from '../engine/types.ts';
import { toFailure } from './failure.ts';
import type { ReplyEvent, ReplyStream } from './replies.ts';

interface StreamSource {
  readonly chunks: ReplyStream;
  readonly events: AsyncIterable<ReplyEvent>;
  readonly withUsage: boolean;
  /** Bytes that may wait for the client. */
  readonly waitingBytes: number;
  /** Stops the replies. */
  readonly abort: () => void;
  /** Ends the connection of a client that does not read. */
  readonly disconnect: () => void;
  /** The error as the client is to be told it. */
  readonly explain: (error: unknown) => unknown;
  /** Called once, at the end however it comes, with the error that it came by. */
  readonly onEnd: (error: unknown) => void;
}

/** Replies as server-sent events, in OpenAI's form: chunks, the usage if asked for, `[DONE]`. */
export function streamReplies(source: StreamSource): Response {
  const encoder = new TextEncoder();
  let gone = false;
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const send = (data: object | '[DONE]'): void => {
          if (gone) return;
          const text = data === '[DONE]' ? data : JSON.stringify(data);
          controller.enqueue(encoder.encode(`data: ${text}\n\n`));
          if ((controller.desiredSize ?? 0) >= -source.waitingBytes) return;
          gone = true;
          source.abort();
          source.disconnect();
        };
        void pump(source, send).finally(() => {
          if (!gone) controller.close();
        });
      },
      cancel() {
        gone = true;
        source.abort();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 65_536 }),
  );
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    },
  });
}

async function pump(source: StreamSource, send: (data: object | '[DONE]') => void): Promise<void> {
  const results: Generated[] = [];
  try {
    for (const chunk of source.chunks.begin()) send(chunk);
    for await (const event of source.events) {
      if ('result' in event) results.push(event.result);
      for (const chunk of source.chunks.next(event)) send(chunk);
    }
    if (source.withUsage) send(source.chunks.usage(results));
    send('[DONE]');
    source.onEnd(undefined);
  } catch (cause) {
    const error = source.explain(cause);
    send(toFailure(error).body);
    source.onEnd(error);
  }
}
