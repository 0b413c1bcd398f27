/**
 * Loaded by `serve-soak.ts` into every thread of a server: when the process is sent a message, each thread collects its
 * garbage, and the answer is what is left: bytes in use of all threads, and resident bytes of the process.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

/** Milliseconds in which a thread that has nothing to do answers. */
const patience = 500;
const channel = new BroadcastChannel('collect garbage');
channel.unref();

/** What lives in this thread, in bytes. */
function collect() {
  for (let i = 0; i < 3; i++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

if (isMainThread && process.send !== undefined) {
  process.on('message', async () => {
    const others = [];
    const hear = ({ data }) => others.push(data);
    channel.addEventListener('message', hear);
    channel.postMessage('collect');
    const own = collect();
    await sleep(patience);
    channel.removeEventListener('message', hear);
    process.send({ live: others.reduce((sum, bytes) => sum + bytes, own), threads: 1 + others.length, resident: process.memoryUsage.rss() });
  });
  process.channel.unref();
} else if (!isMainThread) {
  channel.addEventListener('message', () => channel.postMessage(collect()));
}
