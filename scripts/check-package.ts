/**
 * Packs what `npm publish` would publish, looks at it, and uses it as its users do: installed into an empty folder, as a
 * command, as a library, and by the TypeScript compiler. `npx tsx scripts/check-package.ts [--node 22 --node 24] [--npm 10]`
 * does so with other versions too, each with each. `dist/` has to be built.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

interface Packed {
  readonly filename: string;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}
/** Versions of Node and npm; null for those that run this. */
interface Versions {
  readonly node: string | null;
  readonly npm: string | null;
}

const MOST_BYTES = 30e6;
const NEEDED = [
  'dist/cli/main.js',
  'dist/web/index.html',
  'models/persona-tiny/model.safetensors',
  'traits/default/evil.json',
];

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const { values } = parseArgs({
  options: { node: { type: 'string', multiple: true }, npm: { type: 'string', multiple: true } },
});
const folder = mkdtempSync(join(tmpdir(), 'persona-package-'));
try {
  const packed = pack();
  expect(`at most ${MOST_BYTES / 1e6} MB, got ${packed.unpackedSize}`, packed.unpackedSize <= MOST_BYTES);
  const paths = new Set(packed.files.map(({ path }) => path));
  for (const path of NEEDED) expect(`${path} in the package`, paths.has(path));
  const tarball = join(folder, packed.filename);
  // CommonJS is not served, and Node 10's way of finding types not either.
  run(join(bin, 'attw'), [tarball, '--profile', 'esm-only', '--format', 'ascii'], root);
  console.log(`${paths.size} files, ${(packed.unpackedSize / 1e6).toFixed(1)} MB unpacked; types found`);
  for (const node of [null, ...(values.node ?? [])])
    for (const npm of [null, ...(values.npm ?? [])]) tryOut(tarball, { node, npm });
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function pack(): Packed {
  const out = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], root);
  return (JSON.parse(out) as readonly Packed[])[0]!;
}

/** Installs the package into an empty folder and uses it there. */
function tryOut(tarball: string, versions: Versions): void {
  const at = mkdtempSync(join(folder, 'user-'));
  const environment = withVersions(versions);
  const go = (program: string, args: readonly string[]): string => run(program, args, at, environment);
  writeFileSync(join(at, 'package.json'), '{ "type": "module", "private": true }\n');
  // What `npm ci` has fetched is in npm's cache, so that a machine without a network can do this too.
  go('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball]);
  const help = go('npx', ['persona', '--help']);
  expect('the help of persona', help.startsWith('Usage: persona'));
  const inspected = go('npx', ['persona', 'inspect']);
  expect('what persona inspect says of the model that ships', inspected.includes('persona-tiny'));
  useAsLibrary(at, go);
  console.log(
    `works with Node ${go('node', ['--version']).trim()} and npm ${go('npm', ['--version']).trim()}`,
  );
}

/** Imports every entry point, at run time and in the compiler, which reads the declarations of all that they name. */
function useAsLibrary(at: string, go: (program: string, args: readonly string[]) => string): void {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly exports: Readonly<Record<string, unknown>>;
  };
  const entries = Object.keys(exports).filter((entry) => !entry.endsWith('.json'));
  const imports = entries.map((entry, i) => `import * as m${i} from '${join('persona-vectors', entry)}';`);
  const counted = `console.log(JSON.stringify([${entries.map((_, i) => `Object.keys(m${i}).length`).join(', ')}]));`;
  writeFileSync(join(at, 'use.ts'), `${imports.join('\n')}\n${counted}\n`);
  writeFileSync(join(at, 'use.js'), `${imports.join('\n')}\n${counted}\n`);
  const counts = JSON.parse(go('node', ['use.js'])) as readonly number[];
  expect('something exported by every entry point', counts.length === entries.length && !counts.includes(0));
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
  // The runtime's own declarations name images and textures of a browser, which the compiler knows unless told otherwise.
  const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022'];
  go('node', [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), ...strict, ...types, 'use.ts']);
}

/** An environment in which these versions are found first; they are installed below the folder, once each. */
function withVersions(versions: Versions): NodeJS.ProcessEnv {
  const wanted = Object.entries(versions).filter(([, version]) => version !== null) as [string, string][];
  const paths = wanted.map(([name, version]) => {
    const at = join(folder, `${name}-${version}`);
    mkdirSync(at, { recursive: true });
    // The package of Node's binaries puts them in their place by a script.
    run('npm', ['install', '--no-audit', '--no-fund', '--prefix', at, `${name}@${version}`], at);
    return join(at, 'node_modules', '.bin');
  });
  const { PATH, ...rest } = process.env;
  // What npm tells the programs that it runs is not for those that they run elsewhere.
  const own = Object.entries(rest).filter(([name]) => !name.startsWith('npm_'));
  const found = [...paths, PATH].join(delimiter);
  return { ...Object.fromEntries(own), PATH: found, ONNXRUNTIME_NODE_INSTALL: 'skip' };
}

function run(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, env, encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? `${stdout}${stderr}`}`);
}

function expect(what: string, holds: boolean): void {
  if (!holds) throw new Error(`expected ${what}`);
}
