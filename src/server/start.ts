import { serve } from '@hono/node-server';
import type { Server } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { UsageError } from '../errors.ts';
import { ScreenLibrary } from '../store/screens/screen-library.ts';
import { createApp, type ServerApp } from './app.ts';
import { openMonitor } from './open-monitor.ts';
import { openRuns, type OpenRuns } from './open-runs.ts';
import type { LogEntry } from './request-log.ts';
import type { Limits, ServerSettings } from './settings.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0 takes any that is free. */
  readonly port: number;
  readonly log: (entry: LogEntry) => void;
}

export interface RunningServer {
  readonly port: number;
  /** Lets no more requests in, waits for replies under way, at most `patience` milliseconds, and ends. */
  readonly close: (patience?: number) => Promise<void>;
}

/** Milliseconds in which a request's head must have come. */
const headTime = 10_000;
/** Characters of a token that nobody guesses. */
const leastToken = 16;

/**
 * Serves loaded models until it is closed; the models stay open.
 *
 * @throws UsageError for an address that other machines reach and no API keys, for a token that can be guessed, or for a
 *   port that is taken.
 */
export async function startServer(settings: ServerSettings, options: ListenOptions): Promise<RunningServer> {
  if (!isLoopback(options.host) && settings.keys === null)
    throw new UsageError(
      `Expected API keys for ${options.host}, which other machines can reach, got none; make one with --add-key and name the file with --keys.`,
    );
  if (settings.token.length < leastToken)
    throw new UsageError(
      `Expected a token of at least ${leastToken} characters, got ${settings.token.length}; leave PERSONA_TOKEN unset to have one made.`,
    );
  const monitor = settings.monitor === null ? null : await openMonitor(settings, settings.monitor);
  let runs: OpenRuns | null = null;
  const giveUp = async (error: unknown): Promise<never> => {
    await runs?.runs.close();
    await monitor?.close();
    throw error;
  };
  runs = settings.runs === null ? null : await openRuns(settings, settings.runs).catch(giveUp);
  const screens = await openScreens(settings).catch(giveUp);
  const app = createApp(settings, options.log, { open: monitor, runs, screens });
  const server = await listen(app, settings.limits, options).catch(giveUp);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: async (patience = 30_000) => {
      // Their streams would never end by themselves.
      monitor?.monitor.events.close();
      runs?.events.close();
      await Promise.all([close(app, server, patience), runs?.runs.close()]);
      await monitor?.close();
    },
  };
}

/** Screenings in the folders that are named, and those that this server's runs have made. */
async function openScreens({ screens, runs }: ServerSettings): Promise<ScreenLibrary | null> {
  return screens.length === 0 && runs === null ? null : ScreenLibrary.open(screens, runs?.folder);
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Names are what somebody's resolver says, but for this one. */
function isLoopback(host: string): boolean {
  const version = isIP(host);
  return host === 'localhost' || (version !== 0 && loopback.check(host, version === 4 ? 'ipv4' : 'ipv6'));
}

function listen({ fetch }: ServerApp, limits: Limits, { host, port }: ListenOptions): Promise<Server> {
  const bodyTime = limits.sendSeconds * 1000;
  const serverOptions = {
    headersTimeout: Math.min(headTime, bodyTime),
    requestTimeout: bodyTime,
    connectionsCheckingInterval: Math.min(5000, bodyTime / 4),
  };
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, hostname: host, port, serverOptions }, () => resolve(server)) as Server;
    server.maxConnections = limits.connections;
    // Whoever takes nothing of an answer for as long as a request may last is gone.
    server.setTimeout((limits.seconds + limits.sendSeconds) * 1000);
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'it is taken' : error.message;
      reject(
        new UsageError(`Could not listen on ${host}, port ${port}: ${reason}; choose another with --port.`),
      );
    });
  });
}

async function close({ admission }: ServerApp, server: Server, patience: number): Promise<void> {
  const latest = performance.now() + patience;
  const state = { closed: false };
  const closed = new Promise<void>((resolve) =>
    server.close(() => {
      state.closed = true;
      resolve();
    }),
  );
  await Promise.race([admission.drain(), sleep(patience, undefined, { ref: false })]);
  // What was answered is on its way; connections end when they have nothing more to do.
  while (!state.closed && performance.now() < latest) {
    server.closeIdleConnections();
    await Promise.race([closed, sleep(50)]);
  }
  server.closeAllConnections();
  await closed;
}
