import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { type FolderLock, lockFolder } from '../store/lock.ts';
import {
  makeServedRun,
  readServedRuns,
  removeServedRun,
  type ServedRun,
  writeServedRun,
} from '../store/served-run.ts';
import { HttpFailure } from './failure.ts';
import { checkRequest, type RunScene } from './run-check.ts';
import { isOpen, newEntry, newRecord, placesOf, type RunEntry, type RunPlaces, toItem } from './run-entry.ts';
import { filesBelow, reportAmong } from './run-files.ts';
import { progressIn, readLog, tailOffset } from './run-log.ts';
import { endLeftover } from './run-process.ts';
import { publishVector, type RunEnd, serverEnded, sinceCommand, workOn } from './run-work.ts';
import { type RunDetail, type RunItem, type RunList, type RunRequest, runRequest } from './runs-api.ts';

/** Milliseconds between two looks at how far runs are. */
const lookEvery = 1000;
/** Bytes of a log in which the newest line of progress is. */
const progressBytes = 4096;

/** What listeners are told of: a run that changed, or one that is gone. */
export type RunChange = { readonly item: RunItem } | { readonly removed: string };

/**
 * Runs of this package's commands that a server starts, a folder each. One server has a folder of runs at a time; what it
 * knows of a run is on the disk before anybody is told.
 */
export class Runs {
  readonly scene: RunScene;
  private readonly lock: FolderLock;
  private readonly entries = new Map<string, RunEntry>();
  private readonly listeners = new Set<(change: RunChange) => void>();
  private readonly working = new Set<Promise<void>>();
  private readonly look: NodeJS.Timeout;
  private queue: RunEntry[] = [];
  private closed = false;

  private constructor(scene: RunScene, lock: FolderLock) {
    this.scene = scene;
    this.lock = lock;
    this.look = setInterval(() => {
      // A look that fails is made up for by the next one.
      this.readProgress().catch(() => undefined);
    }, lookEvery);
    this.look.unref();
  }

  /**
   * Opens a folder of runs. Those that were under way when a server ended are cut off; those that waited go on waiting.
   *
   * @throws StoreError where the folder cannot be used or another server has it.
   */
  static async open(scene: RunScene): Promise<Runs> {
    const { folder, onTrouble } = scene.settings;
    await mkdir(folder, { recursive: true });
    const lock = await lockFolder(folder);
    const runs = new Runs(scene, lock);
    for (const record of await readServedRuns(folder, onTrouble)) await runs.takeUp(record);
    runs.begin();
    return runs;
  }

  private async takeUp(record: ServedRun): Promise<void> {
    const request = runRequest.safeParse(record.request);
    if (!request.success) {
      this.scene.settings.onTrouble(`the run ${record.id} asks for what this version does not know`);
      return;
    }
    const entry = newEntry(record, request.data);
    this.entries.set(entry.id, entry);
    if (record.status === 'queued') this.queue.push(entry);
    if (record.status !== 'running') return;
    if (record.process !== null) await endLeftover(record.process.pid, record.process.started);
    const ended = new Date().toISOString();
    this.change(entry, { status: 'cut_off', ended, process: null, reason: serverEnded });
  }

  /** All of them, the newest first. */
  list(): RunList {
    const { kept, atOnce } = this.scene.settings;
    return { data: [...this.entries.values()].reverse().map(toItem), kept, at_once: atOnce };
  }

  item(id: string): RunItem {
    return toItem(this.entry(id));
  }

  async detail(id: string): Promise<RunDetail> {
    const files = await filesBelow(this.places(id).output);
    return { ...this.item(id), files, report: reportAmong(files) };
  }

  /** Where the files of a run lie; HttpFailure 404 for one that is not there. */
  places(id: string): RunPlaces {
    return placesOf(this.scene.settings.folder, this.entry(id).id);
  }

  /**
   * Takes a run in, which begins when there is room.
   *
   * @throws HttpFailure for what is not offered, or where as many are kept as may be.
   */
  async start(request: RunRequest): Promise<RunItem> {
    this.checkOpen();
    await checkRequest(request, this.scene);
    const { folder, kept } = this.scene.settings;
    if (this.entries.size >= kept)
      throw new HttpFailure(409, `expected at most ${kept} runs, which are there; delete some`, {
        code: 'too_many_runs',
      });
    const entry = newEntry(newRecord(newId(request), request), request);
    this.entries.set(entry.id, entry);
    try {
      await makeServedRun(folder, entry.record);
    } catch (error) {
      this.entries.delete(entry.id);
      throw error;
    }
    this.queue.push(entry);
    this.tell({ item: toItem(entry) });
    this.begin();
    return toItem(entry);
  }

  /** Goes on with a run that ended before it was done. */
  async resume(id: string): Promise<RunItem> {
    this.checkOpen();
    const entry = this.entry(id);
    if (!toItem(entry).resumable)
      throw new HttpFailure(
        409,
        `expected a run that ended before it was done, got one that is ${entry.record.status}`,
      );
    await checkRequest(entry.request, this.scene);
    this.change(entry, { status: 'queued', ended: null, reason: null, exit_code: null });
    this.queue.push(entry);
    await entry.saved;
    this.begin();
    return toItem(entry);
  }

  /** Stops a run: one that waits at once, one that runs after the step in hand. */
  async stop(id: string): Promise<RunItem> {
    const entry = this.entry(id);
    if (!isOpen(entry))
      throw new HttpFailure(409, `expected a run that waits or runs, got one that is ${entry.record.status}`);
    if (entry.record.status === 'queued') {
      this.queue = this.queue.filter((one) => one !== entry);
      this.change(entry, { status: 'stopped', ended: new Date().toISOString() });
    } else this.halt(entry, 'asked');
    await entry.saved;
    return toItem(entry);
  }

  /** Removes a run that has ended, with all that it made. */
  async remove(id: string): Promise<void> {
    const entry = this.entry(id);
    if (isOpen(entry)) throw new HttpFailure(409, 'expected a run that has ended; stop it first');
    this.entries.delete(entry.id);
    await entry.saved;
    await removeServedRun(this.scene.settings.folder, entry.id);
    this.tell({ removed: entry.id });
  }

  /** Tells of changes until what it gives is called. */
  subscribe(listener: (change: RunChange) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Stops what runs, waits for it, and lets other servers have the folder. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.look);
    for (const entry of this.entries.values())
      if (entry.record.status === 'running') this.halt(entry, 'server-ends');
    await Promise.all(this.working);
    await Promise.all([...this.entries.values()].map(({ saved }) => saved));
    await this.lock.release();
  }

  private entry(id: string): RunEntry {
    const found = this.entries.get(id);
    if (found !== undefined) return found;
    throw new HttpFailure(404, `found no run ${JSON.stringify(id.slice(0, 100))}`, { code: 'unknown_run' });
  }

  private checkOpen(): void {
    if (this.closed) throw new HttpFailure(503, 'the server is ending', { retryAfter: 5 });
  }

  private halt(entry: RunEntry, why: 'asked' | 'server-ends'): void {
    if (entry.stopping !== null) return;
    entry.stopping = why;
    entry.process?.stop(this.scene.settings.stopSeconds);
    this.tell({ item: toItem(entry) });
  }

  /** Begins as many as there is room for. */
  private begin(): void {
    while (!this.closed && this.working.size < this.scene.settings.atOnce) {
      const entry = this.queue.shift();
      if (entry === undefined) return;
      const work = this.work(entry).finally(() => {
        this.working.delete(work);
        this.begin();
      });
      this.working.add(work);
    }
  }

  private async work(entry: RunEntry): Promise<void> {
    entry.stopping = null;
    const { attempt } = entry.record;
    this.change(entry, {
      status: 'running',
      started: new Date().toISOString(),
      attempt: attempt + 1,
      notes: [],
    });
    const end = await workOn(entry, this.scene, () => this.change(entry, {})).catch(
      (error: unknown): RunEnd => this.fault(entry, error),
    );
    const notes = end.status === 'done' ? await this.finish(entry) : [];
    entry.progress = null;
    entry.stopping = null;
    this.change(entry, { ...end, notes, process: null, ended: new Date().toISOString() });
    await entry.saved;
  }

  /** What is left to do for a run that is done; sentences about what could not be. */
  private async finish({ id, request }: RunEntry): Promise<string[]> {
    if (request.kind !== 'extract' || request.save_as === undefined) return [];
    const note = await publishVector(this.places(id).output, this.scene.vectors, request.save_as);
    return note === null ? [] : [note];
  }

  private fault({ id }: RunEntry, error: unknown): RunEnd {
    const message = error instanceof Error ? error.message : 'something that is no error was thrown';
    this.scene.settings.onTrouble(`the run ${id} could not be worked on: ${message}`);
    return {
      status: 'failed',
      exit_code: null,
      reason:
        error instanceof HttpFailure ? message : 'it could not be started; the log of the server says more',
    };
  }

  private change(entry: RunEntry, some: Partial<ServedRun>): void {
    entry.record = { ...entry.record, ...some };
    const { record } = entry;
    const { folder, onTrouble } = this.scene.settings;
    entry.saved = entry.saved
      .then(() => writeServedRun(folder, record))
      .catch((error: unknown) => onTrouble(`the run ${entry.id} was not written: ${String(error)}`));
    this.tell({ item: toItem(entry) });
  }

  private tell(change: RunChange): void {
    for (const listener of this.listeners) listener(change);
  }

  private async readProgress(): Promise<void> {
    for (const entry of this.entries.values()) {
      if (entry.process === null) continue;
      const { log } = this.places(entry.id);
      const { text } = await readLog(log, await tailOffset(log, progressBytes), progressBytes);
      const progress = progressIn(sinceCommand(text));
      if (progress?.line === entry.progress?.line || entry.process === null) continue;
      entry.progress = progress;
      this.tell({ item: toItem(entry) });
    }
  }
}

/** Such as `train-20261126-213015-4f0a`: names of the newest sort last. */
function newId({ kind }: RunRequest): string {
  const time = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  return `${kind}-${time}-${randomBytes(2).toString('hex')}`;
}
