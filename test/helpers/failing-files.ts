import type { FileHandle } from 'node:fs/promises';
import { type FileSystem, systemFiles } from '../../src/store/files.ts';

/**
 * A file system on a disk that is full after so many bytes: a write beyond writes what fits and then fails, as real
 * ones do. Bytes are counted over all files.
 */
export function failingFiles(options: { readonly after: number; readonly code?: string }): FileSystem {
  const { code = 'ENOSPC' } = options;
  let left = options.after;
  const write = async (
    handle: FileHandle,
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }> => {
    const fits = Math.min(length, left);
    left -= fits;
    if (fits === 0 && length > 0) throw Object.assign(new Error(`${code}: injected`), { code });
    return handle.write(bytes, offset, fits, position);
  };
  const open: typeof systemFiles.open = async (...names) => {
    const handle = await systemFiles.open(...names);
    return new Proxy(handle, {
      get(target, name) {
        if (name === 'write') return write.bind(null, target);
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  };
  return { ...systemFiles, open };
}
