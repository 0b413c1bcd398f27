import type { Adapter } from '../model/adapter.ts';
import type { GenerateCall } from './generate-call.ts';
import { LiveBatch } from './live-batch.ts';
import type { Runtime } from './runtime.ts';

/** The running batches of one model: one that all calls share, and one more for each adapter, which a step has one of. */
export class Scheduler {
  readonly runtime: Runtime;
  private readonly batches = new Map<Adapter | undefined, LiveBatch>();

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  /** Bytes that running rows hold. */
  get heldBytes(): number {
    return [...this.batches.values()].reduce((sum, batch) => sum + batch.heldBytes, 0);
  }

  submit(call: GenerateCall): void {
    const { adapter } = call.shape;
    for (const [key, batch] of this.batches) if (batch.idle) this.batches.delete(key);
    const batch = this.batches.get(adapter) ?? new LiveBatch(this.runtime, adapter);
    this.batches.set(adapter, batch);
    batch.submit(call);
  }
}
