import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What Prometheus is told. */
export class Metrics {
  readonly registry: Registry = new Registry();
  readonly requests: Counter<'route' | 'status'> = new Counter({
    name: 'persona_requests_total',
    help: 'Requests by route and status',
    labelNames: ['route', 'status'],
    registers: [this.registry],
  });
  readonly seconds: Histogram<'route'> = new Histogram({
    name: 'persona_request_seconds',
    help: 'Seconds from a request to the end of its answer, or of its head where it is streamed',
    labelNames: ['route'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300],
    registers: [this.registry],
  });
  readonly tokens: Counter<'kind'> = new Counter({
    name: 'persona_tokens_total',
    help: 'Tokens of prompts and of finished replies',
    labelNames: ['kind'],
    registers: [this.registry],
  });

  /** Read when somebody asks. */
  readonly replies: Gauge;
  readonly resident: Gauge;

  constructor(replies: () => number) {
    this.replies = new Gauge({
      name: 'persona_replies',
      help: 'Replies under way',
      registers: [this.registry],
      collect() {
        this.set(replies());
      },
    });
    this.resident = new Gauge({
      name: 'persona_resident_bytes',
      help: 'Resident memory of the process',
      registers: [this.registry],
      collect() {
        this.set(process.memoryUsage.rss());
      },
    });
  }
}
