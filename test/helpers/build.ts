import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { projectRoot, readProjectFile, typescriptFiles } from './source.ts';

const cache = join(projectRoot, 'node_modules/.cache/persona-tests');

/**
 * The path of `dist/cli/main.js` in a copy of the package that is compiled from the source as it is now, once for
 * all tests: plain JavaScript starts in a third of the time that compiling on the fly takes.
 */
export function compiledCli(): string {
  const sources = typescriptFiles('src').filter((path) => !path.endsWith('.test.ts'));
  const folder = join(cache, fingerprint(sources));
  if (!existsSync(folder)) compile(sources, folder);
  return join(folder, 'dist/cli/main.js');
}

/** A file of that copy, such as `server/start.js`, for what threads run. */
export function compiledFile(path: string): URL {
  return new URL(`../${path}`, pathToFileURL(compiledCli()));
}

function fingerprint(sources: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of [...sources, 'package.json']) {
    const { mtimeMs, size } = statSync(join(projectRoot, path));
    hash.update(`${path} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

function compile(sources: readonly string[], folder: string): void {
  removeOld();
  // Test files run side by side: each compiles under a name of its own, and the first to finish gives the name.
  const draft = join(cache, `draft-${randomBytes(6).toString('hex')}`);
  for (const path of sources) {
    const target = join(draft, path.replace(/^src/, 'dist').replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(
      target,
      ts.transpileModule(readProjectFile(path), { compilerOptions, fileName: path }).outputText,
    );
  }
  writeFileSync(join(draft, 'package.json'), readProjectFile('package.json'));
  for (const name of ['models', 'traits']) symlinkSync(join(projectRoot, name), join(draft, name));
  try {
    renameSync(draft, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}

/** Copies of sources that are no longer; a young one may be in use by another run. */
function removeOld(): void {
  for (const name of existsSync(cache) ? readdirSync(cache) : []) {
    const path = join(cache, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity);
    if (age > 3_600_000) rmSync(path, { recursive: true, force: true });
  }
}

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};
