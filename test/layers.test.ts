import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  importsOf,
  loadedBy,
  printsOf,
  projectRoot,
  readProjectFile,
  trackedFiles,
  typescriptFiles,
} from './helpers/source.ts';

/** Folders of src in the order of the data; a folder imports itself and what stands left of it. */
const order = [
  'errors',
  'util',
  'model',
  'store',
  'graph',
  'engine',
  'training',
  'persona',
  'apps',
  'server',
  'cli',
] as const;
/** The two faces stand side by side, but for the command that starts the server. */
const serveCommand = 'src/cli/commands/serve.ts';
const maxLines = 400;

/** `src/model/config.ts` → `model`, `src/errors.ts` → `errors`. */
function part(path: string): string {
  return path.split('/')[1]!.replace(/\.ts$/, '');
}

/** Why `from` must not import `to`, or null where it may. */
function refusal(from: string, to: string): string | null {
  const [left, right] = [part(from), part(to)];
  if (left === right) return null;
  if (right === 'index') return 'the front door is for callers from outside';
  if (left === 'index') return right === 'server' || right === 'cli' ? 'a face is no library' : null;
  const [here, there] = [order.indexOf(left as never), order.indexOf(right as never)];
  if (here < 0 || there < 0) return 'a folder that has no place in the order';
  if (left === 'cli' && right === 'server')
    return from === serveCommand ? null : 'only `serve` starts the server';
  return there < here ? null : `${right} stands right of ${left}`;
}

/** Beside the folders themselves, a unit test may use what tests share. */
function outsideRefusal(from: string, to: string): string | null {
  return from.endsWith('.test.ts') && to.startsWith('test/helpers/') ? null : 'outside src';
}

const sources = typescriptFiles('src');
const webFiles = typescriptFiles('web');
/** What of src the dashboard runs, not only names as a type: files that nothing ties to Node. */
const sharedWithWeb = [
  'src/server/client.ts',
  'src/server/client-parts.ts',
  'src/util/chart.ts',
  'src/util/html.ts',
];
const everything = [
  ...sources,
  ...webFiles,
  ...['test', 'scripts', 'bench', 'examples', 'recipes'].flatMap((folder) => typescriptFiles(folder)),
];

describe('import directions', () => {
  it('are kept by every file of src', () => {
    const refused = sources.flatMap((from) =>
      importsOf(from)
        .filter((name) => name.startsWith('.'))
        .map((name) => posix.join(posix.dirname(from), name))
        .flatMap((to) => {
          const reason = to.startsWith('src/') ? refusal(from, to) : outsideRefusal(from, to);
          return reason === null ? [] : [`${from} imports ${to}: ${reason}`];
        }),
    );
    expect(refused).toEqual([]);
  });

  it('refuse what they must, so that the test above means something', () => {
    expect(refusal('src/engine/a.ts', 'src/model/b.ts')).toBeNull();
    expect(refusal('src/errors.ts', 'src/util/b.ts')).toMatch('util stands right of errors');
    expect(refusal('src/model/a.ts', 'src/engine/b.ts')).toMatch('engine stands right of model');
    expect(refusal('src/cli/commands/serve.ts', 'src/server/a.ts')).toBeNull();
    expect(refusal('src/cli/main.ts', 'src/server/a.ts')).toMatch('only `serve`');
    expect(refusal('src/server/a.ts', 'src/cli/main.ts')).toMatch('cli stands right of server');
    expect(refusal('src/persona/a.ts', 'src/index.ts')).toMatch('front door');
    expect(refusal('src/persona/a.ts', 'src/misc/b.ts')).toMatch('no place in the order');
  });

  it('keep scripts, benchmarks and tests out of src, and packages by their name', () => {
    const strangers = sources.flatMap((from) => importsOf(from).filter((name) => name.startsWith('/')));
    expect(strangers).toEqual([]);
  });

  it('let the dashboard name types of the protocol, and run what nothing ties to Node', () => {
    const fromSrc = (from: string, names: readonly string[]): string[] =>
      names
        .filter((name) => name.startsWith('.'))
        .map((name) => posix.join(posix.dirname(from), name))
        .filter((to) => to.startsWith('src/'));
    const foreign = webFiles.flatMap((from) => [
      ...fromSrc(from, loadedBy(from)).filter((to) => !sharedWithWeb.includes(to)),
      ...fromSrc(from, importsOf(from)).filter(
        (to) => !sharedWithWeb.includes(to) && !/^src\/server\/(?:[a-z]+-)?api\.ts$/.test(to),
      ),
    ]);
    expect(foreign).toEqual([]);
    expect(webFiles.flatMap(loadedBy).filter((name) => name.startsWith('node:'))).toEqual(['node:url']);
    const tied = sharedWithWeb.flatMap((from) =>
      loadedBy(from).map((name) => posix.join(posix.dirname(from), name)),
    );
    expect(tied.filter((to) => !sharedWithWeb.includes(to))).toEqual([]);
  });

  it('keep the command line and the terminal in src/cli', () => {
    const outside = sources.filter((path) => part(path) !== 'cli' && !path.endsWith('.test.ts'));
    const commander = outside.filter((path) => importsOf(path).some((name) => name.includes('commander')));
    expect(commander).toEqual([]);
    expect(outside.flatMap((path) => printsOf(path).map((text) => `${path}: ${text}`))).toEqual([]);
  });
});

describe('every TypeScript file', () => {
  it(`has at most ${maxLines} lines`, () => {
    const lines = (path: string): number => readProjectFile(path).trimEnd().split('\n').length;
    expect(everything.filter((path) => lines(path) > maxLines)).toEqual([]);
  });

  it('spells relative imports with their ending', () => {
    const wrong = everything.flatMap((path) =>
      importsOf(path)
        .filter((name) => name.startsWith('.') && !/\.(?:tsx?|css)$/.test(name))
        .map((name) => `${path} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('docs/layout.md', () => {
  it('lists every folder of src in the order of the data', () => {
    const present = new Set(
      readdirSync(join(projectRoot, 'src'), { withFileTypes: true })
        // A folder without a file does not exist for git.
        .filter(
          (entry) => entry.isDirectory() && sources.some((path) => path.startsWith(`src/${entry.name}/`)),
        )
        .map((entry) => entry.name),
    );
    const listed = [...readProjectFile('docs/layout.md').matchAll(/^- \*\*`src\/([a-z]+)\/`\*\*/gm)].map(
      (m) => m[1],
    );
    expect(listed).toEqual(order.filter((name) => present.has(name)));
  });
});

const tracked = trackedFiles();

describe.skipIf(tracked === null)('tracked files (skipped outside a git checkout)', () => {
  it('name no path of one machine', () => {
    const machinePath = /(?<![\w.:/-])\/(?:work|root|home|Users)\/[\w.-]+/;
    const found = (tracked ?? [])
      // Weights are no text; the lockfile's hashes may spell anything.
      .filter((path) => !/\.(?:safetensors|bin|png)$|package-lock\.json$/.test(path))
      .flatMap((path) => {
        const match = machinePath.exec(readFileSync(join(projectRoot, path), 'utf8'));
        return match === null ? [] : [`${path}: ${match[0]}`];
      });
    expect(found).toEqual([]);
  });
});
