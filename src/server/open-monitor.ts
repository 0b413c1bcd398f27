import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoreError, UsageError } from '../errors.ts';
import { lockFolder } from '../store/lock.ts';
import type { MonitorReader } from '../store/monitor/store.ts';
import { policyItem } from './monitor-api.ts';
import { Monitor } from './monitor.ts';
import { MonitorEvents } from './monitor-events.ts';
import { MonitorMetrics } from './monitor-metrics.ts';
import { type ReadyPolicy, readyPolicy } from './monitor-policies.ts';
import { type Courier, Outbox } from './outbox.ts';
import { forwardCourier } from './forward.ts';
import { webhookCourier } from './webhook.ts';
import { checkWebhook } from './webhook-url.ts';
import { PolicyResources } from './monitor-resources.ts';
import type { MonitorSettings } from './monitor-settings.ts';
import { StoreThread } from './monitor-thread.ts';
import type { StoreWriter } from './monitor-worker.ts';
import type { ServerSettings } from './settings.ts';

/** Milliseconds between two looks at what is too old, and at how full the store is. */
const lookEvery = 60_000;

/** The parts of watching that a server has, and their end. */
export interface OpenMonitor {
  readonly monitor: Monitor;
  readonly policies: PolicyResources;
  readonly close: () => Promise<void>;
}

/**
 * Opens the store that a server writes to, and makes its policies ready.
 *
 * @throws StoreError where the file cannot be used or another server has it; UsageError for a policy that cannot hold.
 */
export async function openMonitor(settings: ServerSettings, watching: MonitorSettings): Promise<OpenMonitor> {
  const { file, threadProgram } = watching;
  await makeFile(file);
  const lockAt = `${file}-lock`;
  await mkdir(lockAt, { recursive: true });
  const lock = await lockFolder(lockAt);
  const writer = new StoreThread<StoreWriter>({ file, role: 'write' }, threadProgram);
  try {
    const salt = await writer.call('salt');
    const reader = new StoreThread<MonitorReader>({ file, role: 'read' }, threadProgram);
    const scene = { ...settings, baselines: watching.baselines, checkWebhook: webhookCheck(watching) };
    if (watching.policies !== null)
      await writer.call(
        'replaceGiven',
        watching.policies.map((item) => ({ name: item.name, policy: JSON.stringify(item) })),
      );
    const ready = await readyAll(writer, scene, watching);
    const events = new MonitorEvents((after, turns) => reader.call('events', after, turns));
    const metrics = new MonitorMetrics(
      () => writer.pending,
      () => events.count,
    );
    const outbox = new Outbox(writer, couriersOf(watching), watching);
    const parts = {
      settings: watching,
      salt,
      writer,
      reader,
      events,
      metrics,
      outbox,
      policies: ready.policies,
    };
    const looks = keepLooking(writer, watching, metrics);
    const close = async (): Promise<void> => {
      looks();
      events.close();
      await outbox.close();
      await Promise.all([writer.close(), reader.close()]);
      await lock.release();
    };
    return { monitor: new Monitor(parts), policies: new PolicyResources({ writer, scene, ...ready }), close };
  } catch (error) {
    await writer.close();
    await lock.release();
    throw error;
  }
}

/** Only its owner reads what is in it; SQLite gives its other files the same rights. */
async function makeFile(file: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await (await open(file, 'a', 0o600)).close();
  } catch (cause) {
    throw new StoreError(
      `Could not make the store "${file}": ${cause instanceof Error ? cause.message : String(cause)}; name another file with --store.`,
      { details: { file }, cause },
    );
  }
}

/** Those of the file have to hold; one that a request put, and which holds no longer, is left out and said. */
async function readyAll(
  writer: StoreThread<StoreWriter>,
  scene: Parameters<typeof readyPolicy>[1],
  { onTrouble }: MonitorSettings,
): Promise<{ readonly policies: Map<string, ReadyPolicy>; readonly given: Set<string> }> {
  const policies = new Map<string, ReadyPolicy>();
  const given = new Set<string>();
  for (const { name, policy, source } of await writer.call('policies')) {
    try {
      policies.set(name, await readyPolicy(policyItem.parse(JSON.parse(policy)), scene));
      if (source === 'file') given.add(name);
    } catch (error) {
      if (source === 'file') throw error;
      onTrouble(
        `policy ${name} of an earlier start does not hold: ${error instanceof Error ? error.message : ''}`,
      );
    }
  }
  return { policies, given };
}

function webhookCheck({ webhooks }: MonitorSettings): (url: string) => void {
  return (url) => {
    if (webhooks === null)
      throw new UsageError(
        `Expected no webhook, since this server sends none; start it with --allow-webhook ${new URL(url).host}.`,
      );
    checkWebhook(webhooks.hosts, url);
  };
}

function couriersOf({ webhooks, forward }: MonitorSettings): Courier[] {
  const own = webhooks === null ? [] : [webhookCourier(webhooks.hosts, webhooks.key)];
  return [...own, ...forward.map((target) => forwardCourier(target))];
}

/** Removes what is too old, and notes how full the store is. */
function keepLooking(
  writer: StoreThread<StoreWriter>,
  { retention, onTrouble }: MonitorSettings,
  metrics: MonitorMetrics,
): () => void {
  const state = { ended: false };
  const look = async (): Promise<void> => {
    try {
      // Turns that wait to be written come between two rounds.
      while (!state.ended && (await writer.call('removeOld', retention, Date.now())));
      const { bytes, letters } = await writer.call('facts');
      metrics.bytes.set(bytes);
      metrics.letters.reset();
      for (const { kind, state, count } of letters) metrics.letters.set({ kind, state }, count);
    } catch (error) {
      if (!state.ended) onTrouble(error instanceof Error ? error.message : String(error));
    }
  };
  void look();
  const timer = setInterval(() => void look(), lookEvery);
  timer.unref();
  return () => {
    state.ended = true;
    clearInterval(timer);
  };
}
