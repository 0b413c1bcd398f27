import { readdir, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { modelFiles, startLoopbackHub } from './loopback-hub.ts';
import type { LoopbackHub, LoopbackHubOptions, SeenRequest } from './loopback-hub.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { pull } from '../../src/apps/pull.ts';
import type { PulledModel, PullOptions } from '../../src/apps/pull.ts';

/** Few attempts and next to no pauses. */
export const impatient = { attempts: 3, firstPauseMs: 1, longestPauseMs: 2, stallMs: 5000 };

/** A hub, an empty cache, and what pulls from one into the other. */
export interface PullScene {
  readonly hub: LoopbackHub;
  readonly cache: string;
  /** Names hub and cache, and nothing of this machine. */
  readonly environment: Readonly<Record<string, string>>;
  /** What `run` was told on the way. */
  readonly notes: string[];
  readonly files: Readonly<Record<string, string | Buffer>>;
  /** The folder of acme/tiny in the cache. */
  readonly repoFolder: string;
  /** Pulls acme/tiny, or what is named. */
  readonly run: (options?: PullOptions, repo?: string) => Promise<PulledModel>;
  /** Names in the folder of blobs, sorted. */
  readonly blobs: () => Promise<string[]>;
  /** Requests for files, at the hub and then at its CDN. */
  readonly fileRequests: () => SeenRequest[];
  /** Names of all files and links in the model's folder that a reader would trust. */
  readonly trusted: () => Promise<string[]>;
}

/** Starts a hub with a small model, and makes an empty cache. */
export async function pullScene(options: Partial<LoopbackHubOptions> = {}): Promise<PullScene> {
  const files = options.files ?? modelFiles();
  const hub = await startLoopbackHub({ ...options, files });
  const cache = await temporaryFolder();
  const environment = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, HOME: cache };
  const notes: string[] = [];
  const repoFolder = join(cache, 'models--acme--tiny');
  return {
    hub,
    cache,
    environment,
    notes,
    files,
    repoFolder,
    run: (more = {}, repo = 'acme/tiny') =>
      pull(repo, { environment, patience: impatient, onNote: (line) => notes.push(line), ...more }),
    blobs: async () => (await readdir(join(repoFolder, 'blobs')).catch((): string[] => [])).sort(),
    fileRequests: () => [...hub.requests.filter(({ url }) => !url.startsWith('/api/')), ...hub.cdn.requests],
    trusted: async () => {
      const entries = await readdir(repoFolder, { recursive: true, withFileTypes: true }).catch(() => []);
      return entries
        .filter((entry) => !entry.isDirectory() && !entry.name.endsWith('.incomplete'))
        .map(({ name }) => name);
    },
  };
}

/** Waits until a file has so many bytes; the test's own time limit ends it. */
export async function waitForSize(path: string, size: number): Promise<void> {
  while ((await stat(path).catch(() => null))?.size !== size) await sleep(5);
}
