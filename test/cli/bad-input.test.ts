import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copyModel, removeFile, shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';

interface BadInput {
  readonly name: string;
  /** Files to write into the working folder first. */
  readonly files?: Readonly<Record<string, string>>;
  /** `MODEL` stands for the shipped model. */
  readonly args: readonly string[];
  /** What the sentence must name. */
  readonly says: RegExp;
  readonly env?: Readonly<Record<string, string>>;
}

const vector = JSON.stringify(Array.from({ length: 64 }, () => 0.5));
const generate = (...flags: string[]): string[] => [
  'generate',
  'MODEL',
  '--ids',
  '1',
  '--max-tokens',
  '4',
  ...flags,
];
const activations = ['activations', 'MODEL', '--input', 'rows.jsonl', '--out', 'out.safetensors'];
const row = (value: unknown): string => `${JSON.stringify(value)}\n`;
const good = row({ ids: [1, 2, 3], response_start: 1 });

const wrongCommands: readonly BadInput[] = [
  { name: 'an unknown command', args: ['generat'], says: /generat.*Did you mean generate/ },
  { name: 'an unknown flag', args: generate('--tempratur', '1'), says: /--tempratur.*--temperature/ },
  { name: 'a missing configuration', args: ['train'], says: /missing required argument 'config'/ },
  { name: 'neither model nor trait', args: ['extract'], says: /trait/ },
  {
    name: 'a temperature that is no number',
    args: generate('--temperature', 'warm'),
    says: /--temperature.*warm/,
  },
  { name: 'a top-p above 1', args: generate('--top-p', '1.5'), says: /--top-p.*0 to 1/ },
  { name: 'an unknown pooling', args: [...activations, '--pool', 'mean'], says: /response_mean.*"mean"/ },
  { name: 'a path where nothing is', args: ['inspect', './nowhere'], says: /nowhere/ },
  {
    name: 'a Hub name that is not in the cache',
    args: ['inspect', 'owner/name'],
    env: { HF_HUB_CACHE: join(tmpdir(), 'persona-no-cache') },
    says: /owner\/name.*cache/,
  },
  { name: 'an unknown device', args: generate('--device', 'gpu'), says: /--device.*cpu, webgpu, cuda/ },
  {
    name: 'a device of the environment that is none',
    args: generate(),
    env: { PERSONA_DEVICE: 'gpu' },
    says: /PERSONA_DEVICE.*webgpu.*"gpu"/,
  },
  ...[
    ['train', 'train.json'],
    ['train', 'train.json', '--dry-run'],
    ['mitigate', 'mitigate.json'],
    ['mitigate', 'mitigate.json', '--dry-run'],
    ['experiment', 'finetuning', 'MODEL'],
    ['experiment', 'screening', 'MODEL'],
    ['reproduce', 'MODEL', '--only', 'mitigation'],
    ['reproduce', 'MODEL', '--dry-run'],
  ].map((args) => ({
    name: `training on another device: ${args.join(' ')}`,
    args: [...args, '--device', 'webgpu'],
    says: /device cpu for training.*got webgpu/,
  })),
  { name: 'no prompt', args: ['generate', 'MODEL'], says: /--ids, --prompt and --messages, got none/ },
  { name: 'two prompts', args: generate('--prompt', 'a'), says: /exactly one of.*--ids and --prompt/ },
  {
    name: 'an unknown trait',
    args: ['extract', 'MODEL', 'grumpy', '--out', 'run'],
    says: /cheerful.*"grumpy"/,
  },
  {
    name: 'an unknown judge',
    args: ['extract', 'MODEL', 'cheerful', '--judge', 'gpt'],
    says: /openai:MODEL.*"gpt"/,
  },
  {
    name: 'a judge whose key is missing',
    args: ['extract', 'MODEL', 'cheerful', '--judge', 'openai:gpt-4.1-mini'],
    env: { OPENAI_API_KEY: '' },
    says: /variable OPENAI_API_KEY, got none/,
  },
  { name: 'a new trait without a description', args: ['trait', 'new', 'shy'], says: /--description/ },
  {
    name: 'an unknown flag below a command',
    args: ['trait', 'list', '--nope'],
    says: /unknown option '--nope'/,
  },
  {
    name: 'a trait file that is no trait',
    files: { 'trait.json': '{"instruction": []}' },
    args: ['extract', 'MODEL', './trait.json', '--out', 'run'],
    says: /trait\.json.*instruction/,
  },
  {
    name: 'a layer that the model does not have',
    args: ['extract', 'MODEL', 'cheerful', '--out', 'run', '--layers', '6'],
    says: /1 to 5.*6/,
  },
];

const wrongPrompts: readonly BadInput[] = [
  {
    name: 'an id beyond the vocabulary',
    args: ['generate', 'MODEL', '--ids', '1,512'],
    says: /0 to 511, got 512/,
  },
  { name: 'an id that is no number', args: ['generate', 'MODEL', '--ids', '1,x'], says: /--ids.*"x"/ },
  { name: 'an empty list of ids', args: ['generate', 'MODEL', '--ids', ''], says: /--ids/ },
  {
    name: 'a prompt beyond the context',
    args: ['generate', 'MODEL', '--ids', Array.from({ length: 600 }, () => 5).join()],
    says: /512 tokens, got 600/,
  },
  {
    name: 'more new tokens than the context leaves',
    args: ['generate', 'MODEL', '--ids', '1', '--max-tokens', '512'],
    says: /context of 512/,
  },
  {
    name: 'a conversation for a model without a chat template',
    files: { 'chat.json': '[{"role":"user","content":"hi"}]' },
    args: ['generate', 'MODEL', '--messages', 'chat.json'],
    says: /chat template/,
  },
  {
    name: 'an empty conversation',
    files: { 'chat.json': '[]' },
    args: ['generate', 'MODEL', '--messages', 'chat.json'],
    says: /chat\.json.*(?:small|least)/i,
  },
  {
    name: 'a message without a role',
    files: { 'chat.json': '{"messages":[{"content":"hi"}]}' },
    args: ['generate', 'MODEL', '--messages', 'chat.json'],
    says: /chat\.json.*role/,
  },
];

const spec = (name: string, entries: unknown, says: RegExp): BadInput => ({
  name,
  files: { 'spec.json': typeof entries === 'string' ? entries : JSON.stringify(entries) },
  args: generate('--intervene', 'spec.json'),
  says,
});
const steer = { layer: 2, vector: JSON.parse(vector) as number[], coef: 1 };

const wrongSpecs: readonly BadInput[] = [
  spec('interventions that are no JSON', '[{', /spec\.json.*JSON/),
  spec('interventions that are no list', steer, /spec\.json.*"layer".*interventions/),
  spec('a vector of another width', [{ ...steer, vector: [1, 2, 3] }], /width 64.*3/),
  spec('a layer beyond the last', [{ ...steer, layer: 6 }], /layer from 1 to 5.*6/),
  spec('a misspelt key', [steer, { ...steer, postions: 'all' }], /intervention 2.*"postions".*"positions"/),
  spec('two kinds in one entry', [{ ...steer, ablate: true }], /intervention 1.*exactly one of/),
  spec('a strength that is no number', [{ ...steer, coef: '1' }], /intervention 1.*coef.*number/),
];

const rows = (name: string, text: string, says: RegExp, ...flags: string[]): BadInput => ({
  name,
  files: { 'rows.jsonl': text },
  args: [...activations, ...flags],
  says,
});

const wrongRows: readonly BadInput[] = [
  rows('a line that is no JSON', `${good}{"ids": [1,\n`, /rows\.jsonl", line 2.*JSON/),
  rows(
    'a line of no known form',
    `${good}\n${row({ text: 'a' })}`,
    /rows\.jsonl", line 3.*"ids", "messages"/,
  ),
  rows('a misspelt key in a row', row({ ids: [1, 2], respone_start: 1 }), /line 1.*"response_start"/),
  rows(
    'an id beyond the vocabulary in a row',
    row({ ids: [1, 700], response_start: 1 }),
    /line 1.*0 to 511, got 700/,
  ),
  rows(
    'a response that starts beyond the row',
    row({ ids: [1, 2], response_start: 3 }),
    /line 1.*response_start/,
  ),
  rows('a row without a response', row({ ids: [1, 2] }), /line 1.*response/),
  rows(
    'a row without a prompt',
    row({ ids: [1, 2], response_start: 0 }),
    /line 1.*prompt/,
    '--pool',
    'prompt_mean',
  ),
  rows('an empty row', row({ ids: [] }), /line 1.*ids/),
  rows('a row beyond the context', row({ ids: Array.from({ length: 513 }, () => 3) }), /line 1.*512.*513/),
  rows('an empty file', '\n', /rows\.jsonl.*at least one row/),
  { name: 'a file of rows that is not there', args: activations, says: /rows\.jsonl/ },
  {
    name: 'an output in a folder that is not there',
    files: { 'rows.jsonl': good },
    args: ['activations', 'MODEL', '--input', 'rows.jsonl', '--out', 'no/such/out.safetensors'],
    says: /no\/such/,
  },
  {
    name: 'an adapter that is not there',
    files: { 'rows.jsonl': good },
    args: [...activations, '--adapter', './no-adapter'],
    says: /no-adapter/,
  },
];

/** Makes every write after the first `count` through a file handle fail as on a full disk. */
function fullDisk(count: number): Record<string, string> {
  const code = `
    import { open } from 'node:fs/promises';
    const handle = await open(process.execPath);
    const prototype = Object.getPrototypeOf(handle);
    await handle.close();
    let left = ${count};
    for (const name of ['write', 'writeFile', 'writev', 'appendFile']) {
      const real = prototype[name];
      prototype[name] = async function (...args) {
        if (left-- > 0) return real.apply(this, args);
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', errno: -28, syscall: 'write' });
      };
    }`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
}

const fullDisks: readonly BadInput[] = [
  { ...rows('a full disk under activations', good.repeat(5), /no space/), env: fullDisk(2) },
  {
    name: 'a full disk under a new run',
    args: ['extract', 'MODEL', 'cheerful', '--out', 'run'],
    env: fullDisk(0),
    says: /no space/,
  },
];

describe('bad input', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-bad-input-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const cases = [...wrongCommands, ...wrongPrompts, ...wrongSpecs, ...wrongRows, ...fullDisks];
  it.concurrent.each(cases)('$name ends in one sentence and leaves no file', async (bad) => {
    const cwd = join(folder, bad.name.replaceAll(/\W+/g, '-'));
    await mkdir(cwd);
    for (const [name, text] of Object.entries(bad.files ?? {})) await writeFile(join(cwd, name), text);
    const args = bad.args.map((arg) => (arg === 'MODEL' ? shippedModel : arg));
    const result = await runCli(args, { cwd, env: bad.env ?? {} });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
    expect(result.stderr).toMatch(bad.says);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(await leftovers(cwd)).toEqual(Object.keys(bad.files ?? {}));
  });

  it('text for a model without a tokenizer is refused, ids are not', async () => {
    const model = await copyModel(join(folder, 'no-tokenizer'));
    await removeFile(model, 'tokenizer.json');
    const text = await runCli(['generate', model, '--prompt', 'Once']);
    expect(text).toMatchObject({ code: 2, stdout: '' });
    expect(text.stderr).toMatch(/tokenizer\.json/);
    const ids = await runCli(['generate', model, '--ids', '1', '--max-tokens', '3', '--json']);
    expect(ids).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(ids.stdout)).toEqual({ ids: [403, 407, 261], text: null, finish_reason: 'length' });
  });

  it('--debug shows where an error came from', async () => {
    const result = await runCli(['inspect', './nowhere', '--debug']);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(/UsageError: [^\n]+\n\s+at /);
    expect(result.stderr).toMatch(/\nerror: [^\n]+\n$/);
  });
});

/** Files in a folder and those below it; a run folder that was made but holds nothing is no leftover. */
async function leftovers(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
}
