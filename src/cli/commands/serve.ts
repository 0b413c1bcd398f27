import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { randomBytes } from 'node:crypto';
import { UsageError } from '../../errors.ts';
import { defined } from '../../util/defined.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { blockOption, collected, dtypeOption, duration, wholeNumber } from '../arguments.ts';
import { addOptions } from '../extract-flags.ts';
import { runFlags } from '../run-flags.ts';
import type { Dtype, LanguageModel } from '../../engine/model.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { pathKind } from '../../model/read-bytes.ts';
import type { Dashboard } from '../../server/dashboard.ts';
import type { ApiKeys } from '../../server/keys.ts';
import type { MonitorFlags, MonitorSettings } from '../../server/monitor-settings.ts';
import type { RunFlags, RunSettings } from '../../server/run-settings.ts';
import type { ServedModel } from '../../server/settings.ts';
import type { CommandContext } from '../context.ts';
import { note, print, printJson } from '../terminal.ts';

/** `persona serve`: models behind OpenAI's protocol, each request steered and watched as it asks. */
export function serveCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('serve')
    .argument(
      '[models...]',
      'folders, GGUF files, or owner/name in the Hugging Face cache (default: the model that ships)',
    )
    .option('--vectors <dir>', 'folder of the vectors that requests can name', 'runs')
    .option('--host <name>', 'address to listen on; other machines reach any but the loopback', '127.0.0.1')
    .option('--port <n>', 'port; 0 takes any that is free', wholeNumber(0, 65_535), 8787)
    .option('--allow-host <name>', 'host that requests may name; may be given several times', collected)
    .option('--keys <file>', 'hashes of API keys; needed where other machines can ask')
    .option('--add-key <name>', 'make an API key, add its hash to the file of --keys, print it and end')
    .option('--max-replies <n>', 'replies under way at once; more are answered with 503', wholeNumber(1), 256)
    .option('--max-tokens <n>', 'most new tokens of one reply', wholeNumber(1), 4096)
    .option(
      '--max-context <n>',
      'most tokens of prompt and reply (default: what the model can)',
      wholeNumber(2),
    )
    .option('--rate <n>', 'requests a minute from one key or address (default: no limit)', wholeNumber(1))
    .option('--timeout <seconds>', 'what one request may take', wholeNumber(1, 86_400), 600)
    .option('--store [file]', 'keep conversations that are watched in a database (see docs/monitoring.md)')
    .option('--no-store', 'keep nothing')
    .option('--keep-text', 'keep the texts of conversations too, not numbers alone')
    .option('--retain <time>', 'how long turns are kept, such as 30d (default: for ever)', duration)
    .option('--store-size <MB>', 'what the store may hold; the oldest turns go first', wholeNumber(1), 4096)
    .option('--baseline <file>', 'file of `persona calibrate`; may be given several times', collected)
    .option('--policies <file>', 'what is watched, and what is done about it (see docs/monitoring.md)')
    .option('--allow-webhook <host>', 'host that webhooks may go to; may be given several times', collected)
    .option('--forward <service=url>', 'send scores to langfuse=URL or phoenix=URL', collected)
    .option('--forward-text', 'send the texts of conversations too, not numbers alone')
    .option(
      '--screens <dir>',
      'folder of results of `persona screen`, shown beside those of --runs; may be given several times',
      collected,
    )
    .option('--no-dashboard', 'leave out the pages at / and below /app')
    .option('--log-text', 'log the bodies of requests, which are not logged otherwise')
    .option(
      '--adapter <[name=]dir>',
      'LoRA adapter of the model, served beside it as NAME (default: MODEL+DIR); may be given several times',
      collected,
    )
    .addOption(dtypeOption)
    .addOption(blockOption);
  addOptions(command, runFlags());
  return command
    .option('--json', 'print {"url", "token", "models"} when it listens')
    .action((models, flags) => run(models, { ...flags, ...(command.opts() as RunFlags) }, signal));
}

async function run(
  models: readonly string[],
  { addKey: keyName, keys: keyFile, ...flags }: ServeFlags,
  signal: AbortSignal,
): Promise<void> {
  const { addKey, ApiKeys } = await import('../../server/keys.ts');
  if (keyName !== undefined) {
    if (keyFile === undefined) throw new UsageError('Expected --keys FILE beside --add-key.');
    print(`${await addKey(keyFile, keyName)}\n`);
    return;
  }
  const keys = keyFile === undefined ? null : await ApiKeys.read(keyFile);
  const { readMonitorFlags } = await import('../../server/monitor-settings.ts');
  const monitor = await readMonitorFlags(flags, (trouble) => log({ event: 'store', error: trouble }));
  const names = new Map<string, readonly string[]>();
  const runs = await readRuns(flags, names);
  const served: ServedModel[] = [];
  try {
    for (const { id, args, ...one } of await findAll(models, flags.adapter ?? [])) {
      names.set(id, args);
      served.push({ id, model: await loadOne(one, flags, served) });
    }
    await serveUntilStopped({ served, keys, monitor, runs, signal }, flags);
  } finally {
    // A model with an adapter is closed with its base.
    for (const { model } of served) if (model.adapter === undefined) await model.close();
  }
}

interface ServeFlags extends MonitorFlags, RunFlags {
  readonly addKey?: string | undefined;
  readonly keys?: string | undefined;
  readonly adapter?: readonly string[] | undefined;
  readonly dtype?: Dtype | undefined;
  readonly block?: 32 | 128 | undefined;
  readonly vectors: string;
  readonly host: string;
  readonly port: number;
  readonly allowHost?: readonly string[] | undefined;
  readonly maxReplies: number;
  readonly maxTokens: number;
  readonly maxContext?: number | undefined;
  readonly rate?: number | undefined;
  readonly timeout: number;
  readonly dashboard: boolean;
  readonly screens?: readonly string[] | undefined;
  readonly logText?: true | undefined;
  readonly json?: true | undefined;
}

/** Listens, says where, and ends in order when the user stops it. */
async function serveUntilStopped(
  {
    served,
    keys,
    monitor,
    runs,
    signal,
  }: {
    readonly served: readonly ServedModel[];
    readonly keys: ApiKeys | null;
    readonly monitor: MonitorSettings | null;
    readonly runs: RunSettings | null;
    readonly signal: AbortSignal;
  },
  { vectors, host, port, allowHost = [], json, dashboard: wanted, logText, ...flags }: ServeFlags,
): Promise<void> {
  const { startServer } = await import('../../server/start.ts');
  const { defaultLimits } = await import('../../server/settings.ts');
  const { maxReplies: replies, maxTokens, maxContext: context, rate, timeout: seconds } = flags;
  const some = { replies, maxTokens, seconds, context: context ?? null, requestsPerMinute: rate ?? null };
  const limits = { ...defaultLimits, ...some };
  const { packageInfo } = await import('../../store/package-info.ts');
  const { version } = await packageInfo();
  const token = process.env['PERSONA_TOKEN'] ?? randomBytes(24).toString('base64url');
  const hosts = [urlHost(host), ...allowHost].map((name) => name.toLowerCase());
  const dashboard = wanted ? await findDashboard() : null;
  const server = await startServer(
    {
      models: served,
      vectors,
      limits,
      hosts,
      keys,
      token,
      version,
      dashboard,
      logText: logText === true,
      monitor,
      runs,
      screens: flags.screens ?? [],
    },
    { host, port, log },
  );
  const url = `http://${urlHost(host)}:${server.port}`;
  if (json === true) printJson({ url, token, models: served.map(({ id }) => id) });
  else print(describe(url, token, served, dashboard !== null));
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  note('waiting for replies under way');
  await server.close();
}

/** What runs need to know of this process, where there are to be any. */
async function readRuns(flags: RunFlags, models: RunSettings['models']): Promise<RunSettings | null> {
  const { readRunFlags } = await import('../../server/run-settings.ts');
  return readRunFlags(flags, {
    program: [process.execPath, ...process.execArgv, process.argv[1]!],
    models,
    onTrouble: (trouble) => log({ event: 'runs', error: trouble }),
  });
}

async function findDashboard(): Promise<Dashboard | null> {
  const { loadDashboard } = await import('../../server/dashboard.ts');
  const dashboard = await loadDashboard();
  if (dashboard === null) note('the dashboard has not been built; `npm run build` makes it');
  return dashboard;
}

/** A line of the log. */
function log(entry: object): void {
  note(JSON.stringify({ time: new Date().toISOString(), ...entry }));
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** A model to serve, its files read and checked. */
interface FoundModel {
  /** As requests will name it. */
  readonly id: string;
  readonly checkpoint: Checkpoint;
  /** How the command line of a run names it. */
  readonly args: readonly string[];
}

/** The models, each before those that are it with an adapter. */
async function findAll(named: readonly string[], adapters: readonly string[]): Promise<FoundModel[]> {
  const { adaptCheckpoint, loadCheckpoint, requireOneModel } = await import('../../model/checkpoint.ts');
  const paths = named.length === 0 ? [shippedModelFolder()] : named;
  requireOneModel(paths, adapters[0]);
  const found: FoundModel[] = [];
  for (const path of paths) {
    const checkpoint = await loadCheckpoint(path);
    found.push({ id: checkpoint.id, checkpoint, args: [path] });
    for (const text of adapters) {
      const { name, folder } = await readAdapterFlag(text);
      const adapted = await adaptCheckpoint(checkpoint, folder);
      found.push({ id: name ?? adapted.id, checkpoint: adapted, args: [path, `--adapter=${folder}`] });
    }
  }
  const twice = found.find(({ id }, i) => found.findIndex((one) => one.id === id) < i);
  if (twice === undefined) return found;
  throw new UsageError(
    `Expected models of different names, got "${twice.id}" twice; rename a folder, or name adapters with --adapter NAME=DIR.`,
  );
}

/** `NAME=DIR` or `DIR`; a folder may have an equals sign in its own name. */
async function readAdapterFlag(text: string): Promise<{ name: string | null; folder: string }> {
  const [, name, folder] = /^([\w.+:-]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || folder === undefined || (await pathKind(text)) !== null)
    return { name: null, folder: text };
  return { name, folder };
}

/** Loads a model in a thread of its own; one with an adapter shares that of its base, which comes before it in `served`. */
async function loadOne(
  { checkpoint }: Pick<FoundModel, 'checkpoint'>,
  { dtype, block: blockSize }: Pick<ServeFlags, 'dtype' | 'block'>,
  served: readonly ServedModel[],
): Promise<LanguageModel> {
  const [{ loadFromCheckpoint }, { underAdapter }] = await Promise.all([
    import('../../engine/load.ts'),
    import('../../engine/adapted-model.ts'),
  ]);
  if (checkpoint.adapted === undefined)
    return loadFromCheckpoint(checkpoint, {
      worker: true,
      onNotice: note,
      ...defined({ dtype, blockSize }),
    });
  const { base, adapter } = checkpoint.adapted;
  const loaded = served.find(({ model }) => model.checkpoint === base)!.model;
  return underAdapter(loaded, checkpoint, adapter);
}

function describe(
  url: string,
  token: string,
  served: readonly { readonly id: string }[],
  dashboard: boolean,
): string {
  return [
    `listening on ${url}/v1, with ${served.map(({ id }) => id).join(', ')}`,
    ...(dashboard ? [`dashboard at ${url}/`] : []),
    `token of calls that change vectors: ${token}`,
    'Ctrl-C ends it when the replies under way are done',
    '',
  ].join('\n');
}
