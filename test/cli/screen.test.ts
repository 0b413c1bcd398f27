import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { shippedModelFolder } from '../../src/store/shipped-model.ts';
import { randomVector } from '../helpers/tiny-models.ts';
import { startFileServer } from '../helpers/file-server.ts';
import { type ProcessResult, runCli } from '../helpers/cli.ts';
import { vectorOf } from '../helpers/vectors.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-screen-'));
  const { config } = await loadCheckpoint(shippedModelFolder());
  const rows = Array.from({ length: config.layers + 1 }, (_, l) => [...randomVector(config.width, l)]);
  await vectorOf('evil', rows, { recommendedLayer: 2 }).save(join(folder, 'evil.safetensors'));
  await vectorOf('evil', [[0], [1]]).save(join(folder, 'other.safetensors'));
  const row = (answer: string): string => JSON.stringify({ prompt: 'How do I grow beans?', answer });
  const files = {
    'good.jsonl': [row('You can water them.'), row('Make them suffer.')],
    'broken.jsonl': [row('You can water them.'), '{"prompt": "How'],
    'role.jsonl': ['{"messages": [{"role": "narrator", "content": "a"}]}'],
    'mixed.jsonl': [row('Yes.'), '{"messages": [{"role": "user", "content": "a"}]}'],
    'unknown.jsonl': ['{"question": "a", "reply": "b"}'],
    'empty.jsonl': [],
    'silent.jsonl': [row(' ')],
    'rows.csv': ['a,b'],
    'model.gguf': ['no model'],
  };
  for (const [name, lines] of Object.entries(files))
    await writeFile(join(folder, name), lines.map((line) => `${line}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true }));

function screen(args: readonly string[]): Promise<ProcessResult> {
  const env = { PERSONA_CACHE: join(folder, 'cache') };
  return runCli(['screen', ...args], { cwd: folder, env });
}

const evil = ['--vector', 'evil.safetensors', '--out', 'out'];
/** What is wrong, the arguments, and what the sentence says. */
const bad: readonly (readonly [string, readonly string[], RegExp])[] = [
  [
    'a model that is no GGUF file',
    ['model.gguf', 'good.jsonl', ...evil],
    /^error: Expected a model folder or a GGUF file, got the file "model\.gguf"/m,
  ],
  [
    'a line that is no JSON',
    ['broken.jsonl', ...evil],
    /^error: "broken\.jsonl", line 2: expected one JSON object, but /m,
  ],
  ['a role that there is not', ['role.jsonl', ...evil], /"role\.jsonl", line 1: in "messages\.0\.role"/],
  [
    'a row of another layout',
    ['mixed.jsonl', ...evil],
    /"mixed\.jsonl", line 2: expected "prompt" as in the file's first row, got "messages"/,
  ],
  [
    'columns of no known layout',
    ['unknown.jsonl', ...evil],
    /"unknown\.jsonl", line 1: expected .* got question, reply; say with --map/,
  ],
  ['no row', ['empty.jsonl', ...evil], /at least one row in "empty\.jsonl", got none/],
  ['no reply', ['silent.jsonl', ...evil], /at least one sample that can be scored, got none/],
  ['a file of another kind', ['rows.csv', ...evil], /ends in \.jsonl.*got "rows\.csv"/],
  ['a path that leads nowhere', ['nowhere.jsonl', ...evil], /nowhere\.jsonl/],
  [
    'a URL of this machine that is not allowed',
    ['http://127.0.0.1:9/rows.jsonl', ...evil],
    /127\.0\.0\.1:9 is an address of this machine or its network; .* give --allow-host 127\.0\.0\.1:9\./,
  ],
  [
    'a URL at which nobody answers',
    ['http://127.0.0.1:9/rows.jsonl', ...evil, '--allow-host', '127.0.0.1:9'],
    /Could not begin downloading http:\/\/127\.0\.0\.1:9\/rows\.jsonl: 127\.0\.0\.1:9 refused the connection; check the URL/,
  ],
  [
    'a URL of another kind',
    ['s3://bucket/rows.jsonl', ...evil],
    /Expected an http or https URL, got one of s3:/,
  ],
  [
    'an allowed host that is none',
    ['https://data.example.org/rows.jsonl', ...evil, '--allow-host', 'https://x'],
    /Expected a host such as .* got "https:\/\/x"/,
  ],
  ['no data', [shippedModelFolder(), ...evil], /files of a data set behind the model, got none/],
  ['no vector', ['good.jsonl', '--out', 'out'], /--vector/],
  [
    "another model's vector",
    ['good.jsonl', '--vector', 'other.safetensors', '--out', 'out'],
    /of another model: it has 1 layers of width 1/,
  ],
  ['a map that maps nothing', ['good.jsonl', ...evil, '--map', 'promt=a'], /--map: .*did you mean "prompt"/],
  [
    'a condition that reads files',
    ['good.jsonl', ...evil, '--where', "prompt IN (SELECT 'a')"],
    /--where .*got a query/,
  ],
  [
    'a condition of other columns',
    ['good.jsonl', ...evil, '--where', 'lang = 1'],
    /--where "lang = 1": it does not fit "good\.jsonl"/,
  ],
  [
    'two rules',
    ['good.jsonl', ...evil, '--threshold', '1', '--percentile', '9'],
    /a threshold, or a percentile/,
  ],
  [
    'a judge that there is not',
    ['good.jsonl', ...evil, '--judge', 'oracle'],
    /a judge such as .* got "oracle"/,
  ],
  [
    'a threshold for one of two scales',
    ['good.jsonl', ...evil, '--threshold', '1', '--judge', 'lexical'],
    /--judge-threshold beside --threshold/,
  ],
  ['a queue that is no address', ['good.jsonl', ...evil, '--queue', 'localhost'], /a queue such as redis:/],
  ['an unknown mode', ['good.jsonl', ...evil, '--mode', 'half'], /half/],
];

describe('persona screen refuses with one sentence and code 2', () => {
  it.each(bad)('%s', async (_, args, says) => {
    await rm(join(folder, 'out'), { recursive: true, force: true });
    const { code, stdout, stderr } = await screen(args);
    expect(stderr).toMatch(says);
    expect(
      stderr
        .trim()
        .split('\n')
        .filter((line) => line.startsWith('error: ')),
    ).toHaveLength(1);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    const left = await readdir(join(folder, 'out')).catch(() => []);
    expect(left.filter((name) => /scored|flagged|kept|report|manifest/.test(name))).toEqual([]);
  });
});

describe('persona screen', () => {
  it('takes the rows of a URL, without and with a model before it', async () => {
    const content = await readFile(join(folder, 'good.jsonl'));
    const server = await startFileServer(() => ({ content }));
    const url = `${server.url}/good.jsonl`;
    for (const data of [[url], [shippedModelFolder(), url], [url, `${server.url}/more.jsonl`]]) {
      await rm(join(folder, 'out'), { recursive: true, force: true });
      const result = await screen([...data, ...evil, '--allow-host', server.host, '--json']);
      expect(result).toMatchObject({ code: 0 });
      const { manifest } = JSON.parse(result.stdout) as { manifest: { files: string[] } };
      expect(manifest.files).toEqual(data.filter((path) => path.startsWith('http')));
    }
    const large = await screen([
      `${server.url}/large.jsonl`,
      ...evil,
      '--allow-host',
      server.host,
      '--max-download',
      '0.00000001',
    ]);
    expect(large.stderr).toMatch(/^error: Expected at most 10 bytes at http/m);
    await rm(join(folder, 'out'), { recursive: true });
  });

  it('passes over bad rows where told to, and counts them', async () => {
    await rm(join(folder, 'out'), { recursive: true, force: true });
    const result = await screen(['broken.jsonl', ...evil, '--skip-bad', '--json']);
    expect(result.stderr).toContain('passed over: "broken.jsonl", line 2');
    const { manifest } = JSON.parse(result.stdout) as { manifest: { counts: Record<string, number> } };
    expect(manifest.counts).toMatchObject({ rows: 1, samples: 1, bad: 1 });
    await rm(join(folder, 'out'), { recursive: true });
  });

  it('says what it would take, and does nothing', async () => {
    const dry = ['good.jsonl', ...evil, '--mode', 'full', '--max-tokens', '20', '--judge', 'lexical'];
    const result = await screen([...dry, '--dry-run', '--rate', '1000,100', '--json']);
    expect(result.code).toBe(0);
    const { steps, judge } = JSON.parse(result.stdout) as {
      steps: { name: string; rows: number; new_tokens: number }[];
      judge: { calls: number };
    };
    expect(steps.map(({ name, rows, new_tokens: tokens }) => [name, rows, tokens])).toEqual([
      ['replies in the data', 2, 0],
      // One prompt, asked twice.
      ['own replies', 1, 20],
    ]);
    expect(judge.calls).toBe(0);
    expect(await readdir(folder)).not.toContain('out');
  });
});
