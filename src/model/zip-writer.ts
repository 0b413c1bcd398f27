import { crc32 } from 'node:zlib';
import type { ZipEntry } from './zip-entries.ts';

/** PyTorch begins every payload at a multiple of this, so that tensors can be mapped into memory. */
const ALIGNMENT = 64;
/** Id of the extra field that PyTorch fills up with, "FB". */
const PADDING_ID = 0x4246;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
/** UTF-8 names. */
const FLAGS = 0x0800;
/** 1 January 1980, the earliest date of the format: equal entries give equal bytes. */
const DATE = 0x0021;

/** A ZIP archive of stored files, in the given order, each payload at a multiple of 64. */
export function encodeZip(entries: readonly ZipEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const encoded = new TextEncoder().encode(name);
    const fields = { name: encoded, bytes, crc: crc32(bytes) };
    const local = localHeader(fields, paddingAt(offset + LOCAL_BYTES + encoded.length));
    directory.push(centralHeader(fields, offset));
    parts.push(local, bytes);
    offset += local.length + bytes.length;
  }
  const length = directory.reduce((sum, header) => sum + header.length, 0);
  return concatenate([...parts, ...directory, endRecord(entries.length, length, offset)]);
}

interface Fields {
  readonly name: Uint8Array;
  readonly bytes: Uint8Array;
  readonly crc: number;
}

/** Bytes of the extra field, its own four included, after which a payload is aligned. */
function paddingAt(position: number): number {
  return 4 + ((ALIGNMENT - ((position + 4) % ALIGNMENT)) % ALIGNMENT);
}

function localHeader({ name, bytes, crc }: Fields, padding: number): Uint8Array {
  const header = new Uint8Array(LOCAL_BYTES + name.length + padding).fill(0x5a);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x04034b50, true);
  writeCommon(view, 4, { name, bytes, crc });
  view.setUint16(28, padding, true);
  header.set(name, LOCAL_BYTES);
  view.setUint16(LOCAL_BYTES + name.length, PADDING_ID, true);
  view.setUint16(LOCAL_BYTES + name.length + 2, padding - 4, true);
  return header;
}

function centralHeader({ name, bytes, crc }: Fields, offset: number): Uint8Array {
  const header = new Uint8Array(CENTRAL_BYTES + name.length);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x02014b50, true);
  writeCommon(view, 6, { name, bytes, crc });
  view.setUint32(42, offset, true);
  header.set(name, CENTRAL_BYTES);
  return header;
}

/** The fields that both headers have, in the same order: version, flags, method, date, checksum, sizes, length of the name. */
function writeCommon(view: DataView, at: number, { name, bytes, crc }: Fields): void {
  view.setUint16(at, 0, true);
  view.setUint16(at + 2, FLAGS, true);
  view.setUint16(at + 4, 0, true);
  view.setUint16(at + 6, 0, true);
  view.setUint16(at + 8, DATE, true);
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, bytes.length, true);
  view.setUint32(at + 18, bytes.length, true);
  view.setUint16(at + 22, name.length, true);
}

function endRecord(count: number, length: number, offset: number): Uint8Array {
  const record = new Uint8Array(END_BYTES);
  const view = new DataView(record.buffer);
  view.setUint32(0, 0x06054b50, true);
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, length, true);
  view.setUint32(16, offset, true);
  return record;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
