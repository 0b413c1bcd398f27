import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandGroups } from '../src/cli/command-list.ts';
import { loadedBy } from './helpers/source.ts';

/** Files and libraries that are loaded with a file. */
function loadedWith(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  for (const name of loadedBy(path)) {
    if (name.startsWith('.')) loadedWith(posix.join(posix.dirname(path), name), found);
    else if (!name.startsWith('node:')) found.add(name);
  }
  return found;
}

const isLibrary = (name: string): boolean => !name.startsWith('src/');
const ofCommandLine = ['@commander-js/extra-typings', 'picocolors'];

describe('the command line', () => {
  it('loads the file of no command before it knows which one is called, and the libraries that read flags and colour text', () => {
    const loaded = [...loadedWith('src/cli/main.ts')];
    expect(loaded).toContain('src/cli/command-list.ts');
    expect(loaded.filter((name) => name.startsWith('src/cli/commands/'))).toEqual([]);
    expect(loaded.filter(isLibrary).sort()).toEqual(ofCommandLine);
  });

  const listed = Object.values(commandGroups).flat();
  it.each(listed.map((entry) => [entry.name, entry] as const))(
    'has the command %s where its list says, and no more libraries until it runs',
    async (name, entry) => {
      const make = await entry.load();
      expect(make({ signal: new AbortController().signal }).name()).toBe(name);
      const loaded = [...loadedWith(`src/cli/commands/${name}.ts`)];
      expect(loaded.length).toBeGreaterThan(2);
      expect(loaded.filter(isLibrary).filter((one) => !ofCommandLine.includes(one))).toEqual([]);
    },
  );
});
