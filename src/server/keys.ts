import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { parseStrict, readUserJson } from '../store/strict-json.ts';
import { pathKind } from '../model/read-bytes.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';

/** The name goes into logs and the store, whose texts end at a NUL. */
const keyName = z.string().regex(/^\P{Cc}+$/u, 'expected a name without control characters');
const keyFile = z.strictObject({
  keys: z.array(z.strictObject({ name: keyName, sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
});

/** API keys of clients. Only their hashes are kept: a key is 256 random bits, which no dictionary has. */
export class ApiKeys {
  private readonly hashes: readonly { readonly name: string; readonly hash: Buffer }[];

  constructor(keys: readonly { readonly name: string; readonly sha256: string }[]) {
    this.hashes = keys.map(({ name, sha256 }) => ({ name, hash: Buffer.from(sha256, 'hex') }));
  }

  get names(): readonly string[] {
    return this.hashes.map(({ name }) => name);
  }

  /** Whose key it is, or null. Takes as long for a wrong key as for a right one. */
  nameOf(key: string): string | null {
    const hash = hashOf(key);
    let found: string | null = null;
    for (const one of this.hashes) if (timingSafeEqual(one.hash, hash)) found = one.name;
    return found;
  }

  /** @throws DataError where the file is not what `addKey` writes. */
  static async read(file: string): Promise<ApiKeys> {
    return new ApiKeys((await readKeys(file)).keys);
  }
}

/** Makes a key and adds its hash to the file; the key itself is written nowhere. */
export async function addKey(file: string, name: string): Promise<string> {
  const key = `pv-${randomBytes(32).toString('base64url')}`;
  const { keys } = (await pathKind(file)) === null ? { keys: [] } : await readKeys(file);
  const all = [...keys.filter((one) => one.name !== name), { name, sha256: hashOf(key).toString('hex') }];
  await writeFileAtomically(file, (handle) =>
    handle.writeFile(`${JSON.stringify({ keys: all }, null, 2)}\n`),
  );
  return key;
}

async function readKeys(file: string): Promise<z.infer<typeof keyFile>> {
  return parseStrict(keyFile, await readUserJson(file), `"${file}"`);
}

export function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
