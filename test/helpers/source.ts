import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The checkout's root folder. */
export const projectRoot: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '');

/** Paths from the root of all TypeScript files in `folder`, sorted; empty where the folder is absent. */
export function typescriptFiles(folder: string): string[] {
  const absolute = join(projectRoot, folder);
  if (!statSync(absolute, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(absolute, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .sort();
}

/** Text of a file of the project. */
export function readProjectFile(path: string): string {
  return readFileSync(join(projectRoot, path), 'utf8');
}

/** Everything a file imports or re-exports, types and lazy imports too, as spelled in the file. */
export function importsOf(path: string): string[] {
  return ts.preProcessFile(readProjectFile(path), true, true).importedFiles.map((file) => file.fileName);
}

/** What a file loads when it is loaded itself: its imports and re-exports but for types and lazy ones. */
export function loadedBy(path: string): string[] {
  const file = ts.createSourceFile(path, readProjectFile(path), ts.ScriptTarget.Latest, true);
  return file.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return [];
    const { moduleSpecifier } = statement;
    if (moduleSpecifier === undefined || !ts.isStringLiteral(moduleSpecifier)) return [];
    const clause = ts.isImportDeclaration(statement) ? statement.importClause : statement;
    const named = ts.isImportDeclaration(statement)
      ? statement.importClause?.namedBindings
      : statement.exportClause;
    const onlyTypes =
      named !== undefined &&
      'elements' in named &&
      named.elements.every((one) => 'isTypeOnly' in one && one.isTypeOnly);
    const whole = ts.isImportDeclaration(statement) && statement.importClause?.name !== undefined;
    const isType = clause !== undefined && 'isTypeOnly' in clause && clause.isTypeOnly;
    return isType || (onlyTypes && !whole) ? [] : [moduleSpecifier.text];
  });
}

/** What in a file prints: `console` and `process.stdout`, wherever they are named in code. */
export function printsOf(path: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) {
      const text = node.getText();
      if (text.startsWith('console.') || text.startsWith('process.stdout')) found.push(text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, readProjectFile(path), ts.ScriptTarget.Latest, true));
  return found;
}

/** Files that git tracks or would track, or null outside a git checkout. */
export function trackedFiles(): string[] | null {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z'];
  const git = spawnSync('git', args, { cwd: projectRoot, encoding: 'utf8' });
  if (git.status !== 0) return null;
  const names = git.stdout.split('\0').filter((name) => name !== '');
  return [...new Set(names)].filter((name) => statSync(join(projectRoot, name), { throwIfNoEntry: false }));
}
