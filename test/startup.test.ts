import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
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

describe('the command line', () => {
  it('loads no library but those that read flags and colour text before a command runs', () => {
    const loaded = [...loadedWith('src/cli/main.ts')];
    expect(loaded).toContain('src/cli/commands/extract.ts');
    expect(loaded.filter((name) => !name.startsWith('src/')).sort()).toEqual([
      '@commander-js/extra-typings',
      'picocolors',
    ]);
  });
});
