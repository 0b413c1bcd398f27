import type { EventPlace, MonitorEvent } from '../store/monitor/read-events.ts';
import { isAfter, parseEventId } from '../store/monitor/read-events.ts';
import { type EventSink, streamEvents } from './event-stream.ts';
import { HttpFailure } from './failure.ts';

/** Listeners at once. */
const mostListeners = 64;
/** Turns that are read at once for a listener that goes on. */
const turnsAtOnce = 200;
/** Turns that a listener is told after the fact; before that, lists say more. */
const mostMissed = 10_000;

/** Reads events after a place, of so many turns at most. */
type ReadEvents = (after: EventPlace, turns: number) => Promise<MonitorEvent[]>;

interface Listener {
  readonly send: (event: MonitorEvent) => void;
  readonly end: () => void;
}

/** Tells listeners of turns and alerts once they are written, as server-sent events. */
export class MonitorEvents {
  private readonly read: ReadEvents;
  private readonly listeners = new Set<Listener>();

  constructor(read: ReadEvents) {
    this.read = read;
  }

  get count(): number {
    return this.listeners.size;
  }

  publish(events: readonly MonitorEvent[]): void {
    for (const { send } of this.listeners) for (const event of events) send(event);
  }

  /**
   * A stream of what happens from now on; with the id of an event, of what came after it.
   *
   * @throws HttpFailure for an id that none has, or where too many listen.
   */
  listen(lastId: string | null): Response {
    const from = lastId === null ? null : parseEventId(lastId);
    if (lastId !== null && from === null)
      throw new HttpFailure(400, 'expected as "last-event-id" the id of an event', {
        param: 'last-event-id',
      });
    if (this.listeners.size >= mostListeners)
      throw new HttpFailure(503, `${mostListeners} listen already, which is as many as may`, {
        retryAfter: 10,
      });
    return streamEvents((sink) => this.attach(sink, from));
  }

  /** Ends all streams. */
  close(): void {
    for (const { end } of this.listeners) end();
  }

  private attach(sink: EventSink, from: EventPlace | null): () => void {
    let held: MonitorEvent[] | null = from === null ? null : [];
    let last = from;
    const tell = ({ id, event, data }: MonitorEvent): void => {
      const place = parseEventId(id)!;
      if (last !== null && !isAfter(place, last)) return;
      last = place;
      sink.send({ id, event, data });
    };
    const listener: Listener = {
      send: (event) => (held === null ? tell(event) : void held.push(event)),
      end: () => sink.end(),
    };
    this.listeners.add(listener);
    if (from !== null)
      void this.catchUp(from, (event) => this.listeners.has(listener) && tell(event)).then(
        () => {
          for (const event of held ?? []) if (this.listeners.has(listener)) tell(event);
          held = null;
        },
        () => sink.end(),
      );
    return () => void this.listeners.delete(listener);
  }

  /** Events that are written already, in their order. Those that come meanwhile are held back by the caller. */
  private async catchUp(from: EventPlace, tell: (event: MonitorEvent) => void): Promise<void> {
    let after = from;
    for (let turns = 0; turns < mostMissed; turns += turnsAtOnce) {
      const events = await this.read(after, turnsAtOnce);
      if (events.length === 0) return;
      for (const event of events) tell(event);
      after = parseEventId(events.at(-1)!.id)!;
    }
  }
}
