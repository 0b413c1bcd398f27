/** Bytes that may wait for a listener; who is further behind is cut off, and comes back to go on. */
const waitingBytes = 1024 * 1024;
/** Milliseconds between signs of life. */
const heartbeat = 15_000;

interface ServerEvent {
  readonly id?: string;
  readonly event: string;
  readonly data: unknown;
}

/** A listener's end of a stream of server-sent events. */
export interface EventSink {
  send(event: ServerEvent): void;
  /** Whether what was sent is taken; who sends much at once waits for it. */
  isReady(): boolean;
  /** Ends the stream; a second time does nothing. */
  end(): void;
}

/**
 * A response that streams server-sent events.
 *
 * @param attach Begins to send; what it gives is called once, when the stream ends, whoever ends it.
 */
export function streamEvents(attach: (sink: EventSink) => () => void): Response {
  let close = (): void => undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        close = open(controller, attach);
      },
      cancel: () => close(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 65_536 }),
  );
  const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' };
  return new Response(body, { headers: { ...headers, 'x-accel-buffering': 'no' } });
}

/** What it gives ends the sending and leaves the stream as it is. */
function open(
  controller: ReadableStreamDefaultController<Uint8Array>,
  attach: (sink: EventSink) => () => void,
): () => void {
  const encoder = new TextEncoder();
  let [ended, detach]: [boolean, (() => void) | null] = [false, null];
  const finish = (): boolean => {
    if (ended) return false;
    ended = true;
    clearInterval(beat);
    detach?.();
    return true;
  };
  const end = (): void => {
    if (finish()) controller.close();
  };
  const write = (text: string): void => {
    if (ended) return;
    controller.enqueue(encoder.encode(text));
    if ((controller.desiredSize ?? 0) < -waitingBytes) end();
  };
  const beat = setInterval(() => write(': \n\n'), heartbeat);
  beat.unref();
  // Something to read at once, so that a client knows that it listens.
  write(': \n\n');
  const stop = attach({
    send: ({ id, event, data }) =>
      write(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    isReady: () => (controller.desiredSize ?? 0) > 0,
    end,
  });
  if (ended) stop();
  else detach = stop;
  return () => void finish();
}
