import { closeSync, openSync, readSync } from 'node:fs';

/** Files that are kept open between reads: a folder can have one for every process that ever wrote to it. */
const MOST_OPEN = 32;

interface Place {
  readonly file: number;
  readonly start: number;
  readonly length: number;
}

/** Pieces of files by a key, in memory of their keys and places alone; of two with one key the later counts. */
export class PlacesInFiles {
  readonly #places = new Map<string, Place>();
  readonly #files: string[] = [];
  /** By file, the one that was used longest ago first. */
  readonly #open = new Map<number, number>();

  /** Says that the piece of `key` is `length` bytes long and begins `start` bytes into `file`. */
  add(key: string, file: string, start: number, length: number): void {
    if (this.#files.at(-1) !== file) this.#files.push(file);
    this.#places.set(key, { file: this.#files.length - 1, start, length });
  }

  /** The piece as text; undefined where the key is not known, or the file cannot be read or has become shorter. */
  read(key: string): string | undefined {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const bytes = Buffer.allocUnsafe(place.length);
    try {
      const read = readSync(this.#descriptorOf(place.file), bytes, 0, place.length, place.start);
      return read === place.length ? bytes.toString('utf8') : undefined;
    } catch {
      return undefined;
    }
  }

  close(): void {
    for (const descriptor of this.#open.values()) closeSync(descriptor);
    this.#open.clear();
  }

  #descriptorOf(file: number): number {
    const known = this.#open.get(file);
    if (known === undefined) this.#closeOldest();
    const descriptor = known ?? openSync(this.#files[file]!, 'r');
    // Behind the others, as the one that was used last.
    this.#open.delete(file);
    this.#open.set(file, descriptor);
    return descriptor;
  }

  #closeOldest(): void {
    if (this.#open.size < MOST_OPEN) return;
    const [file, descriptor] = this.#open.entries().next().value!;
    closeSync(descriptor);
    this.#open.delete(file);
  }
}
