import { GgufReader, type GgufValue } from './gguf-reader.ts';
import { type GgufType, ggufLayouts, otherGgufTypes } from './gguf-types.ts';
import { type OpenFile, openFile, readExactly } from './read-bytes.ts';

/** Where one tensor's bytes lie; the shape is row-major, slowest axis first, the other way round than in the file. */
export interface GgufEntry {
  readonly name: string;
  readonly type: GgufType;
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** What a GGUF file says about itself; its data are not read. */
export interface GgufHeader {
  readonly file: string;
  /** Bytes before the data: metadata and the tensor table, filled up to the alignment. */
  readonly dataStart: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** By name, in the order of the table. */
  readonly tensors: ReadonlyMap<string, GgufEntry>;
}

const MAX_AXES = 4;
const DEFAULT_ALIGNMENT = 32;
/** What is read at first, and how much more whenever the header is longer: a vocabulary makes it some megabytes. */
const FIRST_BYTES = 1024 * 1024;
const GROWTH = 4;
const MAX_HEADER_BYTES = 64 * 1024 * 1024;

/**
 * Reads and checks the header of a GGUF file (version 2 or 3, little-endian): known types, whole blocks in every row, and
 * data that lie within the file, at aligned places, without overlap.
 *
 * @throws ParseError where it is none, is cut off, lies about its sizes, or holds tensors of an unknown type; UsageError
 *   where it cannot be read.
 */
export async function readGgufHeader(path: string): Promise<GgufHeader> {
  const file = await openFile(path);
  try {
    for (let length = Math.min(FIRST_BYTES, file.size); ; length = Math.min(length * GROWTH, file.size)) {
      const header = await parseBeginning(file, length);
      if (header !== null) return header;
    }
  } finally {
    await file.handle.close();
  }
}

/** The header from the file's first `length` bytes; null where it is longer and so is the file. */
async function parseBeginning(file: OpenFile, length: number): Promise<GgufHeader | null> {
  const bytes = new Uint8Array(length);
  await readExactly(file, bytes, 0);
  const reader = new GgufReader(bytes, file.path);
  try {
    return parse(reader, file);
  } catch (error) {
    if (!reader.ranOut || length === file.size) throw error;
    if (length < MAX_HEADER_BYTES) return null;
    throw reader.bad(`expected a header of at most ${MAX_HEADER_BYTES} bytes`);
  }
}

function parse(reader: GgufReader, { path, size }: OpenFile): GgufHeader {
  const { tensors: count, keys } = reader.header();
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keys; i++) {
    const key = reader.text();
    if (metadata.has(key)) throw reader.bad(`it gives ${shown(key)} twice`);
    metadata.set(key, reader.value());
  }
  const places = Array.from({ length: count }, () => readPlace(reader));
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || alignment < 1 || alignment % 8 !== 0)
    throw reader.bad(`expected an alignment that is a multiple of 8, got ${String(alignment)}`);
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  const tensors = new Map<string, GgufEntry>();
  for (const place of places) {
    if (tensors.has(place.name)) throw reader.bad(`it has two tensors called ${shown(place.name)}`);
    tensors.set(place.name, entryOf(place, { dataStart, size, alignment }, reader));
  }
  refuseOverlap([...tensors.values()], reader);
  return { file: path, dataStart, metadata, tensors };
}

interface Place {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

function readPlace(reader: GgufReader): Place {
  const name = reader.text();
  const axes = reader.u32();
  if (axes > MAX_AXES) throw reader.bad(`expected at most ${MAX_AXES} axes of ${shown(name)}, got ${axes}`);
  const shape = Array.from({ length: axes }, () => reader.count('axis')).reverse();
  return { name, shape, type: reader.u32(), offset: reader.count('offset') };
}

interface DataRange {
  readonly dataStart: number;
  readonly size: number;
  readonly alignment: number;
}

function entryOf(place: Place, { dataStart, size, alignment }: DataRange, reader: GgufReader): GgufEntry {
  const { name, shape, offset } = place;
  const layout = ggufLayouts.get(place.type);
  if (layout === undefined) {
    const known = [...ggufLayouts.values()].map((one) => one.name).join(', ');
    const got = otherGgufTypes.get(place.type) ?? `type ${place.type}`;
    throw reader.bad(`expected ${shown(name)} to be one of ${known}, got ${got}`);
  }
  const row = shape.at(-1) ?? 1;
  if (row % layout.blockSize !== 0)
    throw reader.bad(
      `expected ${shown(name)} of ${layout.name} to have rows of whole blocks of ${layout.blockSize}, got ${row}`,
    );
  const count = shape.reduce((product, axis) => product * axis, 1);
  const byteLength = (count / layout.blockSize) * layout.blockBytes;
  const start = dataStart + offset;
  if (!Number.isSafeInteger(byteLength) || start + byteLength > size)
    throw reader.bad(
      `${shown(name)}, ${layout.name} of shape [${shape.join(', ')}], reaches beyond the file's end at byte ${size}`,
    );
  if (offset % alignment !== 0)
    throw reader.bad(`expected ${shown(name)} to begin at a multiple of ${alignment}, got ${offset}`);
  return { name, type: layout.name, shape, offset: start, byteLength };
}

function refuseOverlap(entries: readonly GgufEntry[], reader: GgufReader): void {
  const sorted = entries.filter(({ byteLength }) => byteLength > 0).sort((a, b) => a.offset - b.offset);
  for (const [i, entry] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && next.offset < entry.offset + entry.byteLength)
      throw reader.bad(`the data of ${shown(next.name)} lie over those of ${shown(entry.name)}`);
  }
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}

/** The first four bytes of every GGUF file. */
export function isGguf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x47 && bytes[1] === 0x47 && bytes[2] === 0x55 && bytes[3] === 0x46;
}
