import { z } from 'zod';
import { DataError, UsageError } from '../errors.ts';
import { type Baseline, readBaseline } from '../store/baseline-file.ts';
import { defaultStoreFile } from '../store/cache-folder.ts';
import type { Retention } from '../store/monitor/retention.ts';
import { parseStrict, readUserJson } from '../store/strict-json.ts';
import { type ForwardTarget, parseForward } from './forward.ts';
import { type PolicyItem, policyItem } from './monitor-api.ts';
import type { RetryTimes } from './outbox.ts';
import { parseWebhookSecret } from './webhook.ts';
import { AllowedHosts } from '../util/http/allowed-hosts.ts';

const policyFile = z.union([z.array(policyItem), z.strictObject({ policies: z.array(policyItem) })]);

/** The store as flags say it. */
export interface MonitorFlags {
  /** A file, true for the default one, false for none; where nothing is said, policies open the default one. */
  readonly store?: string | boolean | undefined;
  readonly keepText?: boolean | undefined;
  /** Milliseconds. */
  readonly retain?: number | undefined;
  /** Megabytes. */
  readonly storeSize: number;
  /** Files of `persona calibrate`. */
  readonly baseline?: readonly string[] | undefined;
  readonly policies?: string | undefined;
  /** Hosts. */
  readonly allowWebhook?: readonly string[] | undefined;
  /** `langfuse=URL`, `phoenix=URL`. */
  readonly forward?: readonly string[] | undefined;
  readonly forwardText?: boolean | undefined;
}

/**
 * Reads what flags name.
 *
 * @throws UsageError for flags that nothing comes of; DataError for a file of policies that is malformed.
 */
export async function readMonitorFlags(
  flags: MonitorFlags,
  onTrouble: (message: string) => void,
): Promise<MonitorSettings | null> {
  const { store = flags.policies !== undefined, keepText, retain = null, storeSize, baseline = [] } = flags;
  if (store === false) {
    checkUnused(flags);
    return null;
  }
  return {
    file: store === true ? defaultStoreFile() : store,
    keepText: keepText === true,
    retention: { age: retain, bytes: storeSize * 1024 * 1024 },
    baselines: await Promise.all(baseline.map((file) => readBaseline(file))),
    policies: flags.policies === undefined ? null : await readPolicies(flags.policies),
    webhooks: readWebhooks(flags.allowWebhook),
    forward: readForward(flags),
    onTrouble,
  };
}

function readWebhooks(hosts: readonly string[] | undefined): MonitorSettings['webhooks'] {
  if (hosts === undefined) return null;
  const key = parseWebhookSecret(process.env['PERSONA_WEBHOOK_SECRET']);
  return { hosts: new AllowedHosts(hosts), key };
}

function readForward({ forward = [], forwardText, keepText }: MonitorFlags): ForwardTarget[] {
  if (forwardText === true && keepText !== true)
    throw new UsageError(
      'Expected --keep-text with --forward-text, since what is sent is kept until it is taken.',
    );
  const targets = forward.map((text) => parseForward(text, forwardText === true));
  if (new Set(targets.map(({ kind }) => kind)).size < targets.length)
    throw new UsageError('Expected --forward once for each service, got one twice.');
  return targets;
}

function checkUnused(flags: MonitorFlags): void {
  const { policies, keepText, retain, baseline, allowWebhook, forward } = flags;
  const names = {
    '--policies': policies,
    '--keep-text': keepText,
    '--retain': retain,
    '--baseline': baseline,
    '--allow-webhook': allowWebhook,
    '--forward': forward,
  };
  const given = Object.entries(names).find(([, value]) => value !== undefined);
  if (given !== undefined)
    throw new UsageError(`Expected --store with ${given[0]}, since nothing is kept without one.`);
}

async function readPolicies(file: string): Promise<PolicyItem[]> {
  const value = parseStrict(policyFile, await readUserJson(file), `"${file}"`);
  const policies = Array.isArray(value) ? value : value.policies;
  const names = policies.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined)
    throw new DataError(`"${file}": expected every policy once, got ${JSON.stringify(twice)} twice.`);
  return policies;
}

/** Where and how conversations are kept and watched. */
export interface MonitorSettings {
  /** The SQLite file. */
  readonly file: string;
  /** Whether texts are kept; otherwise there are numbers alone. */
  readonly keepText: boolean;
  readonly retention: Retention;
  /** What is usual, by which z-scores and percentiles are measured. */
  readonly baselines: readonly Baseline[];
  /** Where webhooks may go, and the key of their signatures; null sends none. */
  readonly webhooks: { readonly hosts: AllowedHosts; readonly key: Buffer } | null;
  /** Services that get turns' scores. */
  readonly forward: readonly ForwardTarget[];
  /** Pauses between attempts to send. */
  readonly retries?: RetryTimes | undefined;
  /** Policies of this start; null leaves those of the start before. */
  readonly policies: readonly PolicyItem[] | null;
  /** The program of the store's threads, for those who run source that threads cannot read. */
  readonly threadProgram?: URL | undefined;
  /** Takes a sentence about what goes wrong beside requests. */
  readonly onTrouble: (message: string) => void;
}
