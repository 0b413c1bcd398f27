import { crc32 } from 'node:zlib';
import { ParseError } from '../errors.ts';

/** One file of an archive. */
export interface ZipEntry {
  readonly name: string;
  /** Where its bytes lie in the archive; they are stored, not packed. */
  readonly bytes: Uint8Array;
}

/** PyTorch writes five files and one a tensor; a checkpoint of a thousand tensors is none of ours. */
const MAX_ENTRIES = 1024;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;

const signatures = { end: 0x06054b50, central: 0x02014b50, local: 0x04034b50 } as const;

/**
 * The files of a ZIP archive in memory, by its central directory. Only stored entries are read, as PyTorch writes them:
 * packed ones could grow without bound.
 *
 * @param file names the archive in errors.
 * @throws ParseError for an archive that is cut off, lies about its sizes, packs or encrypts, or whose checksums are wrong.
 */
export function zipEntries(archive: Uint8Array, file: string): ZipEntry[] {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const bad = (problem: string): never => {
    throw new ParseError(`"${file}" is no archive that can be read: ${problem}; download it again.`, {
      details: { file },
    });
  };
  const end = findEnd(view);
  if (end === null) return bad('expected a ZIP directory at its end, got none');
  const count = view.getUint16(end + 10, true);
  const start = view.getUint32(end + 16, true);
  const length = view.getUint32(end + 12, true);
  if (count > MAX_ENTRIES) return bad(`expected at most ${MAX_ENTRIES} files in it, got ${count}`);
  if (start + length > end) return bad('its directory lies outside of it');
  const entries: ZipEntry[] = [];
  const names = new Set<string>();
  for (let at = start, i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > start + length || view.getUint32(at, true) !== signatures.central)
      return bad('its directory is damaged');
    const entry = readEntry(archive, view, at, bad);
    if (names.has(entry.name)) return bad(`it has two files called ${JSON.stringify(entry.name)}`);
    names.add(entry.name);
    entries.push(entry);
    at +=
      CENTRAL_BYTES +
      view.getUint16(at + 28, true) +
      view.getUint16(at + 30, true) +
      view.getUint16(at + 32, true);
  }
  return entries;
}

/** The directory's end record, which a comment may follow. */
function findEnd(view: DataView): number | null {
  const first = Math.max(0, view.byteLength - END_BYTES - MAX_COMMENT_BYTES);
  for (let at = view.byteLength - END_BYTES; at >= first; at--) {
    if (view.getUint32(at, true) === signatures.end) return at;
  }
  return null;
}

function readEntry(
  archive: Uint8Array,
  view: DataView,
  at: number,
  bad: (problem: string) => never,
): ZipEntry {
  const nameBytes = view.getUint16(at + 28, true);
  const nameStart = at + CENTRAL_BYTES;
  if (nameStart + nameBytes > archive.byteLength) bad('its directory is damaged');
  const name = new TextDecoder().decode(archive.subarray(nameStart, nameStart + nameBytes));
  const shown = JSON.stringify(name.slice(0, 80));
  if ((view.getUint16(at + 8, true) & 1) !== 0) bad(`${shown} is encrypted`);
  if (view.getUint16(at + 10, true) !== 0) bad(`expected ${shown} to be stored, got it packed`);
  const size = view.getUint32(at + 24, true);
  const local = view.getUint32(at + 42, true);
  if (view.getUint32(at + 20, true) !== size) bad(`the sizes of ${shown} disagree`);
  if (local + LOCAL_BYTES > archive.byteLength || view.getUint32(local, true) !== signatures.local)
    bad(`${shown} is not where its directory says`);
  // Sizes in front of the data may be 0, being written behind them; the directory's count.
  const start = local + LOCAL_BYTES + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  if (start + size > archive.byteLength) bad(`${shown} is cut off`);
  const bytes = archive.subarray(start, start + size);
  if (crc32(bytes) !== view.getUint32(at + 16, true)) bad(`the checksum of ${shown} is wrong`);
  return { name, bytes };
}
