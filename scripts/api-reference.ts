/**
 * Writes the pages of `docs/api/`, one an entry point of the package, from the declarations and the docstrings behind it:
 * `npx tsx scripts/api-reference.ts`. With `--check` it writes nothing, and fails where a page is not what it would write.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const noTruncation = ts.TypeFormatFlags.NoTruncation;
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'docs', 'api');

interface Entry {
  /** What is imported, such as `persona-vectors/engine`. */
  readonly name: string;
  readonly file: string;
  /** The file of its page. */
  readonly page: string;
}
interface Documented {
  readonly name: string;
  readonly isType: boolean;
  readonly lines: readonly string[];
}

const pages = render();
if (process.argv.includes('--check')) {
  const stale = [...pages].some(([name, text]) => read(join(folder, name)) !== text);
  if (stale || readdirSync(folder).length !== pages.size) {
    console.error('docs/api is not what the sources say: run "npx tsx scripts/api-reference.ts".');
    process.exitCode = 1;
  }
} else {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [name, text] of pages) writeFileSync(join(folder, name), text);
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** The pages by their file's name. */
function render(): Map<string, string> {
  const entries = readEntries();
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), (file) => readFileSync(file, 'utf8'));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const program = ts.createProgram(
    entries.map(({ file }) => file),
    options,
  );
  const seen = new Map<ts.Symbol, Entry>();
  // The doors of single parts come first, so that what the front door shows of them too is described once, at its part.
  const inOrder = [...entries.slice(1), entries[0]!];
  const shown = inOrder.map((entry) => [entry.page, renderEntry(entry, program, seen)] as const);
  const index = entries.map(({ name, page }) => `- [${name}](${page})`);
  const head = [
    '# API reference',
    '',
    'What each entry point exports, from the declarations and docstrings that the package ships. Errors are described in',
    '[errors.md](../errors.md), and programs in learning order are in [examples](../../examples).',
    '',
    ...index,
  ];
  return new Map(
    [...shown, ['README.md', head] as const].map(([name, lines]) => [
      name,
      `${lines.join('\n').trimEnd()}\n`,
    ]),
  );
}

function readEntries(): Entry[] {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
  };
  return Object.entries(manifest.exports).flatMap(([path, target]) => {
    if (typeof target === 'string') return [];
    const file = target.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts');
    const page = `${path === '.' ? manifest.name : path.slice(2)}.md`;
    return [{ name: join(manifest.name, path), file: join(root, file), page }];
  });
}

function renderEntry(entry: Entry, program: ts.Program, seen: Map<ts.Symbol, Entry>): string[] {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry.file)!)!;
  const described: Documented[] = [];
  const elsewhere = new Map<Entry, string[]>();
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const home = seen.get(symbol);
    if (home === undefined) {
      seen.set(symbol, entry);
      described.push(describe(exported.name, symbol, checker));
    } else elsewhere.set(home, [...(elsewhere.get(home) ?? []), exported.name]);
  }
  described.sort((a, b) => (a.name < b.name ? -1 : 1));
  const section = (title: string, wanted: boolean): string[] => {
    const found = described.filter(({ isType }) => isType === wanted);
    return found.length === 0 ? [] : [`## ${title}`, '', ...found.flatMap(({ lines }) => [...lines, ''])];
  };
  const also = [...elsewhere].map(
    ([home, names]) =>
      `- [${home.name}](${home.page}): ${names
        .sort()
        .map((one) => `\`${one}\``)
        .join(', ')}`,
  );
  return [
    `# ${entry.name}`,
    '',
    '<!-- Written by "npx tsx scripts/api-reference.ts". -->',
    '',
    ...section('Functions, classes and values', false),
    ...section('Types', true),
    ...(also.length === 0 ? [] : ['## Also here, described with their parts', '', ...also, '']),
  ];
}

function describe(name: string, symbol: ts.Symbol, checker: ts.TypeChecker): Documented {
  const says = firstParagraph(symbol, checker);
  const isType = (symbol.flags & ts.SymbolFlags.Value) === 0;
  if (isType) {
    const fields = fieldsOf(symbol, checker);
    const lines = [`### \`${name}\``, '', ...(says === '' ? [] : [says, '']), ...fields];
    return { name, isType, lines };
  }
  const declaration = symbol.valueDeclaration!;
  const type = checker.getTypeOfSymbolAtLocation(symbol, declaration);
  const signatures = type.getCallSignatures();
  const shown = signatures.map(
    (one) => `${name}${checker.signatureToString(one, declaration, noTruncation)}`,
  );
  const kind = symbol.flags & ts.SymbolFlags.Class ? membersOf(name, symbol, checker) : shown;
  const code = kind.length === 0 ? [`${name}: ${checker.typeToString(type, declaration)}`] : kind;
  return {
    name,
    isType,
    lines: [`### \`${name}\``, '', '```typescript', ...code, '```', ...(says === '' ? [] : ['', says])],
  };
}

/** Public members of a class as declarations, the static ones with its name. */
function membersOf(name: string, symbol: ts.Symbol, checker: ts.TypeChecker): string[] {
  const declaration = symbol.valueDeclaration as ts.ClassDeclaration;
  const members = declaration.members.flatMap((member) => {
    if (member.name === undefined || ts.isPrivateIdentifier(member.name)) return [];
    const flags = ts.getCombinedModifierFlags(member);
    if (flags & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) return [];
    const own = checker.getSymbolAtLocation(member.name)!;
    const type = checker.getTypeOfSymbolAtLocation(own, member);
    const prefix = flags & ts.ModifierFlags.Static ? `${name}.` : '  ';
    const calls = ts.isMethodDeclaration(member) ? type.getCallSignatures() : [];
    if (calls.length === 0) return [`${prefix}${own.name}: ${checker.typeToString(type, member)}`];
    return calls.map((one) => `${prefix}${own.name}${checker.signatureToString(one, member, noTruncation)}`);
  });
  const base = declaration.heritageClauses?.map((clause) => ` ${clause.getText()}`).join('') ?? '';
  return [`class ${name}${base}`, ...members];
}

/** The fields of an interface with what is said of each; for another type what it stands for. */
function fieldsOf(symbol: ts.Symbol, checker: ts.TypeChecker): string[] {
  const [declaration] = symbol.declarations ?? [];
  if (declaration === undefined) return [];
  if (ts.isTypeAliasDeclaration(declaration)) {
    const { type } = declaration;
    return ['```typescript', `type ${symbol.name} = ${type.getText().replaceAll(/\n {2}/g, '\n')}`, '```'];
  }
  const fields = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol));
  return fields.map((field) => {
    const at = field.valueDeclaration ?? declaration;
    const optional = field.flags & ts.SymbolFlags.Optional ? '?' : '';
    // As it is written where it is declared: aliases of schemas would be spelled out.
    const written = ts.isPropertySignature(at) ? at.type?.getText().replaceAll(/\s+/g, ' ') : undefined;
    const type = written ?? checker.typeToString(checker.getTypeOfSymbolAtLocation(field, at), at);
    const says = firstParagraph(field, checker);
    return `- \`${field.name}${optional}: ${type}\`${says === '' ? '' : `: ${says}`}`;
  });
}

/** The first paragraph of a docstring on one line; empty where there is none. */
function firstParagraph(symbol: ts.Symbol, checker: ts.TypeChecker): string {
  const whole = ts.displayPartsToString(symbol.getDocumentationComment(checker));
  return whole
    .split(/\n\s*\n/, 1)[0]!
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim();
}
