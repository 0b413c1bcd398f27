import { describe, expect, it } from 'vitest';
import { type GateTime, RequestGate } from './request-gate.ts';

/** A clock that stands still but for those who wait, and moves on to the next of them when nothing else can happen. */
function heldTime(): GateTime & { now: () => number } {
  let now = 0;
  return {
    now: () => now,
    wait: async (milliseconds) => {
      const until = now + milliseconds;
      await new Promise((resolve) => setImmediate(resolve));
      now = Math.max(now, until);
    },
  };
}

/** Runs `count` requests that each take two turns of the event loop; gives their times of beginning and the most at once. */
async function rush(
  gate: RequestGate,
  time: GateTime,
  count: number,
): Promise<{ begun: number[]; most: number }> {
  const begun: number[] = [];
  let [underWay, most] = [0, 0];
  const work = async (): Promise<void> => {
    begun.push(time.now());
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    underWay--;
  };
  await Promise.all(Array.from({ length: count }, () => gate.run(work)));
  return { begun, most };
}

describe('RequestGate', () => {
  it('lets so many in at a time, and all in the end', async () => {
    const time = heldTime();
    const { begun, most } = await rush(new RequestGate({ concurrency: 3 }, time), time, 20);
    expect(most).toBe(3);
    expect(begun).toHaveLength(20);
  });

  it('spaces requests evenly over the minute', async () => {
    const time = heldTime();
    const gate = new RequestGate({ concurrency: 8, perMinute: 30 }, time);
    const { begun } = await rush(gate, time, 6);
    expect(begun).toEqual([0, 2000, 4000, 6000, 8000, 10_000]);
  });

  it('holds everybody back while the server wants to be left alone', async () => {
    const time = heldTime();
    const gate = new RequestGate({ concurrency: 2 }, time);
    gate.hold(5000);
    gate.hold(1000);
    expect((await rush(gate, time, 3)).begun).toEqual([5000, 5000, 5000]);
  });

  it('gives a place back after a failure, and lets an aborted wait go', async () => {
    const time = heldTime();
    const gate = new RequestGate({ concurrency: 1 }, time);
    await expect(gate.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    gate.hold(Infinity);
    const seen = await gate.run(() => Promise.resolve('in'), AbortSignal.abort());
    expect(seen).toBe('in');
  });
});
