import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { WeightedCache } from '../../util/weighted-cache.ts';
import { readFailure } from '../files.ts';
import { jsonLine } from '../jsonl.ts';
import { screenFiles } from '../screen-folder.ts';
import { identityOf, regularFile } from './file-identity.ts';
import {
  type FoundScreen,
  findScreens,
  isWhereItWas,
  resolveScreenRoots,
  type ScreenRoot,
} from './find-screens.ts';
import { findLines, readLine, readLines } from './line-index.ts';
import { type ScoreOrder, readScoreOrder } from './score-order.ts';
import { type ScoredRow, parseScoredRow, scoreColumn, toTrainingRow } from './scored-row.ts';

/** Bytes of orders and line indices that are kept: those of a million rows take 12 MB a trait and 8 MB. */
const keptBytes = 256 * 1024 * 1024;
/** Bytes of an export's pieces. */
const pieceBytes = 64 * 1024;

/** Which rows, by one trait's projection difference: all, those at the threshold or above, or those below it. */
export interface RowChoice {
  readonly trait: string;
  readonly threshold: number;
  readonly show: 'all' | 'flagged' | 'kept';
}

/** As trainers take rows, or with all that the screening says of them. */
export type ExportForm = 'training' | 'scored';

/** The finished screenings in some folders, read without holding more of them than numbers. */
export class ScreenLibrary {
  readonly #roots: readonly ScreenRoot[];
  readonly #orders = new WeightedCache<ScoreOrder>(keptBytes);
  readonly #lines = new WeightedCache<Float64Array>(keptBytes);
  #known: ReadonlyMap<string, FoundScreen> = new Map();
  /** Orders are made one after the other, each in a database of bounded memory. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(roots: readonly ScreenRoot[]) {
    this.#roots = roots;
  }

  /**
   * @param runs Folder of served runs, whose screenings are found too; null for none.
   * @throws UsageError for a folder that is none.
   */
  static async open(folders: readonly string[], runs: string | null = null): Promise<ScreenLibrary> {
    return new ScreenLibrary(await resolveScreenRoots(folders, runs));
  }

  async list(): Promise<readonly FoundScreen[]> {
    const found = await findScreens(this.#roots);
    this.#known = new Map(found.map((screen) => [screen.id, screen]));
    return found;
  }

  /** Null for an id that no screening has; an id is never read as a path. */
  async get(id: string): Promise<FoundScreen | null> {
    const known = this.#known.get(id);
    if (known !== undefined && (await isWhereItWas(known))) return known;
    await this.list();
    return this.#known.get(id) ?? null;
  }

  /** @throws DataError where the scores cannot be read. */
  async order(screen: FoundScreen, trait: string): Promise<ScoreOrder> {
    const path = join(screen.folder, screenFiles.parquet);
    const key = `${path}\n${trait}\n${await regularFile(path)}`;
    const make = (): Promise<ScoreOrder> => {
      const made = this.#turn.then(() => readScoreOrder(path, scoreColumn(trait)));
      this.#turn = made.catch(() => undefined);
      return made;
    };
    return this.#orders.get(key, make, ({ bytes }) => bytes);
  }

  /** Rows by their place in the file. */
  async rows(screen: FoundScreen, places: Iterable<number>, count: number): Promise<ScoredRow[]> {
    const traits = screen.manifest.traits.map(({ name }) => name);
    return this.#reading(screen, count, async (handle, starts) => {
      const rows: ScoredRow[] = [];
      for (const place of places)
        rows.push(parseScoredRow(await readLine(handle, starts, place), place, traits));
      return rows;
    });
  }

  /** The chosen rows as JSON lines in the order of the file, in pieces of bounded size. */
  async *export(screen: FoundScreen, choice: RowChoice, form: ExportForm): AsyncGenerator<Uint8Array> {
    const order = await this.order(screen, choice.trait);
    const wanted = marksOf(order, choice);
    const handle = await openScored(screen);
    try {
      const starts = await this.#starts(screen, handle, order.rows.length);
      let [pieces, held, line]: [Uint8Array[], number, number] = [[], 0, 0];
      for await (const bytes of readLines(handle, starts, wanted)) {
        const piece = form === 'scored' ? bytes : trainingLine(bytes, line++);
        pieces.push(piece);
        held += piece.length;
        if (held < pieceBytes) continue;
        yield Buffer.concat(pieces);
        [pieces, held] = [[], 0];
      }
      if (held > 0) yield Buffer.concat(pieces);
    } finally {
      await handle.close();
    }
  }

  async #reading<T>(
    screen: FoundScreen,
    count: number,
    work: (handle: FileHandle, starts: Float64Array) => Promise<T>,
  ): Promise<T> {
    const handle = await openScored(screen);
    try {
      return await work(handle, await this.#starts(screen, handle, count));
    } finally {
      await handle.close();
    }
  }

  async #starts(screen: FoundScreen, handle: FileHandle, count: number): Promise<Float64Array> {
    const key = `${screen.folder}\n${count}\n${identityOf(await handle.stat())}`;
    // By a handle of its own: whoever asks first may go away while others wait.
    const make = async (): Promise<Float64Array> => {
      const own = await openScored(screen);
      try {
        return await findLines(own, count, screenFiles.scored);
      } finally {
        await own.close();
      }
    };
    return this.#lines.get(key, make, ({ byteLength }) => byteLength);
  }
}

/** `[rows]`, 1 for the chosen ones. */
function marksOf(order: ScoreOrder, { threshold, show }: RowChoice): Uint8Array {
  const cut = show === 'all' ? 0 : order.countFrom(threshold);
  const marks = new Uint8Array(order.rows.length);
  const chosen = show === 'flagged' ? order.rows.subarray(0, cut) : order.rows.subarray(cut);
  for (const row of chosen) marks[row] = 1;
  return marks;
}

function trainingLine(bytes: Buffer, row: number): Buffer {
  return Buffer.from(jsonLine(toTrainingRow(parseScoredRow(bytes.toString('utf8'), row, []))));
}

async function openScored({ folder }: FoundScreen): Promise<FileHandle> {
  const path = join(folder, screenFiles.scored);
  await regularFile(path);
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    throw readFailure(path, error);
  }
}
