import { Counter, Gauge, type Metric, type Registry } from 'prom-client';

/** What Prometheus is told of the store. */
export class MonitorMetrics {
  readonly turns: Counter<'outcome'> = new Counter({
    name: 'persona_turns_total',
    help: 'Turns by what became of them: written, late (the reply did not wait), failed or dropped',
    labelNames: ['outcome'],
    registers: [],
  });
  readonly alerts: Counter<'policy'> = new Counter({
    name: 'persona_alerts_total',
    help: 'Alerts by policy',
    labelNames: ['policy'],
    registers: [],
  });
  readonly refused: Counter<'policy'> = new Counter({
    name: 'persona_refused_total',
    help: 'Requests that a policy refused',
    labelNames: ['policy'],
    registers: [],
  });
  readonly pending: Gauge;
  readonly bytes: Gauge = new Gauge({
    name: 'persona_store_bytes',
    help: 'Bytes of the store that are in use, as of the last look',
    registers: [],
  });
  readonly letters: Gauge<'kind' | 'state'> = new Gauge({
    name: 'persona_outbox',
    help: 'Messages to be sent, by kind and state, as of the last look',
    labelNames: ['kind', 'state'],
    registers: [],
  });

  readonly listeners: Gauge;

  constructor(pending: () => number, listeners: () => number) {
    this.pending = new Gauge({
      name: 'persona_store_pending',
      help: 'Calls of the store that are not answered yet',
      registers: [],
      collect() {
        this.set(pending());
      },
    });
    this.listeners = new Gauge({
      name: 'persona_listeners',
      help: 'Who listens to events',
      registers: [],
      collect() {
        this.set(listeners());
      },
    });
    for (const outcome of ['written', 'late', 'failed', 'dropped']) this.turns.inc({ outcome }, 0);
  }

  registerAt(registry: Registry): void {
    const all: Metric[] = [
      this.turns,
      this.alerts,
      this.refused,
      this.pending,
      this.listeners,
      this.bytes,
      this.letters,
    ];
    for (const metric of all) registry.registerMetric(metric);
  }
}
