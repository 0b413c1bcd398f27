import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import type { MonitorRow } from '../../src/store/monitor-rows.ts';
import { shippedModelFolder } from '../../src/store/shipped-model.ts';
import { runCli } from '../helpers/cli.ts';
import { randomVector } from '../helpers/tiny-models.ts';
import { vectorOf } from '../helpers/vectors.ts';

const model = shippedModelFolder();
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-monitor-'));
  const { config, id } = await loadCheckpoint(model);
  for (const name of ['odd', 'even']) {
    const rows = Array.from({ length: config.layers + 1 }, (_, layer) => [
      ...randomVector(config.width, name, layer),
    ]);
    const vector = vectorOf(name, rows, { model: id, recommendedLayer: 3 });
    await vector.save(join(folder, `${name}.safetensors`));
  }
  await writeFile(
    join(folder, 'chats.jsonl'),
    Array.from({ length: 12 }, (_, i) => talk(`chat ${i}`, 2)).join(''),
  );
});
afterAll(() => rm(folder, { recursive: true }));

function talk(id: string, turns: number): string {
  const messages = Array.from({ length: turns }, (_, i) => [
    { role: 'user', content: `Question ${i} of ${id}?` },
    { role: 'assistant', content: `Answer ${i} about ${id}. It is in the garden.` },
  ]).flat();
  return `${JSON.stringify({ id, messages })}\n`;
}

const at = (name: string): string => join(folder, name);
const vectors = (): string[] => ['--vector', 'odd', 'even', '--vectors', folder];

describe('persona calibrate and persona monitor', () => {
  it('say how usual every turn is, and with --fail-on-alert end with 3 where one drifts', async () => {
    const made = await runCli([
      'calibrate',
      model,
      '--input',
      at('chats.jsonl'),
      ...vectors(),
      '--out',
      at('baseline.json'),
    ]);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toContain('12 conversations, 24 turns');
    const input = ['--input', at('chats.jsonl'), '--out', at('out.jsonl'), '--baseline', at('baseline.json')];
    const calm = await runCli([
      'monitor',
      model,
      ...input,
      ...vectors(),
      '--limit',
      '1000',
      '--fail-on-alert',
      '--report',
      at('report.html'),
    ]);
    expect(calm).toMatchObject({ code: 0, stderr: '' });
    expect(calm.stdout).toContain('No conversation drifted.');
    const rows = (await readFile(at('out.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as MonitorRow);
    expect(rows).toHaveLength(12);
    const scores = rows.flatMap(({ turns }) => turns.map(({ vectors: own }) => own['odd']!.mean!.z!));
    // The baseline's own conversations have a mean of 0 and a variance of 1.
    expect(scores.reduce((a, b) => a + b, 0) / scores.length).toBeCloseTo(0, 6);
    expect(scores.reduce((sum, z) => sum + z * z, 0) / (scores.length - 1)).toBeCloseTo(1, 6);
    expect(await readFile(at('report.html'), 'utf8')).toContain('token by token');
    const strict = await runCli([
      'monitor',
      model,
      ...input,
      ...vectors(),
      '--limit',
      '0.1',
      '--fail-on-alert',
      '--json',
    ]);
    expect(strict.code).toBe(3);
    expect((JSON.parse(strict.stdout) as { alerts: object[] }).alerts.length).toBeGreaterThan(0);
    expect(strict.stderr).toMatch(/of 12 conversations drifted/);
  });

  it('name the line of what is no conversation, and leave it out with --skip-bad', async () => {
    const bad = [
      '{"messages":',
      '{"messages":[{"role":"user","content":""}]}',
      '{"messages":[{"role":"bot","content":"a"}]}',
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1"}]}]}',
      '{"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}]}',
      '{"text":"a"}',
    ];
    const long = JSON.stringify({ messages: [{ role: 'user', content: 'word '.repeat(100_000) }] });
    await writeFile(at('mixed.jsonl'), `${bad.join('\n')}\n${long}\n${talk('good', 1)}`);
    const args = ['monitor', model, '--input', at('mixed.jsonl'), '--out', at('mixed.out'), ...vectors()];
    const refused = await runCli(args);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/mixed\.jsonl", line 1: expected one JSON object/);
    const skipped = await runCli([...args, '--skip-bad', '--json']);
    expect(skipped.code).toBe(0);
    expect(JSON.parse(skipped.stdout)).toMatchObject({ conversations: 1, skipped: bad.length + 1 });
    const told = skipped.stderr.trim().split('\n');
    const sentences = [
      /line 1: expected one JSON object/,
      /line 2: expected message 1 \(user\) to say something, got an empty text/,
      /line 3: expected message 1 to be of one of the roles system, .*, got "bot"/,
      /line 4: expected message 2 to be text, got tool calls/,
      /line 5: expected the system message to come first, got one as message 2/,
      /line 6: expected "messages" \(OpenAI\), "conversations" \(ShareGPT\) or "conversation"/,
      /line 7: expected at most \d+ tokens \(the model's context\), got \d+/,
    ];
    expect(told).toHaveLength(sentences.length);
    told.forEach((line, i) => expect(line).toMatch(sentences[i]!));
    const calibrate = ['calibrate', model, '--input', at('mixed.jsonl'), '--out', at('few.json')];
    const few = await runCli([...calibrate, ...vectors(), '--skip-bad']);
    expect(few.code).toBe(2);
    expect(few.stderr).toContain('expected at least 20 replies to calibrate on, got 1');
  });

  it('say what they would take, and write nothing', async () => {
    for (const command of ['calibrate', 'monitor']) {
      const out = at(`dry-${command}`);
      const args = [command, model, '--input', at('chats.jsonl'), '--out', out, ...vectors()];
      const { code, stdout } = await runCli([...args, '--dry-run', '--rate', '400', '--json']);
      expect(code).toBe(0);
      const estimate = JSON.parse(stdout) as { steps: object[]; seconds: number; prompt_tokens: number };
      expect(estimate.steps).toEqual([
        expect.objectContaining({ name: 'conversations', rows: 12, new_tokens: 0 }),
      ]);
      expect(estimate.seconds).toBeCloseTo(estimate.prompt_tokens / 400, 6);
      expect(await readFile(out).catch(() => null)).toBeNull();
    }
  });

  it.each([
    [['--vector', 'od'], 'did you mean "odd"?'],
    [['--vector', 'odd', '--fail-on-alert'], 'Expected --baseline with --fail-on-alert'],
    [['--vector', 'odd', '--layer', '99'], 'expected a layer from 1 to'],
  ])('refuse %j in one sentence', async (flags, sentence) => {
    const args = [
      'monitor',
      model,
      '--input',
      at('chats.jsonl'),
      '--out',
      at('x.jsonl'),
      '--vectors',
      folder,
      ...flags,
    ];
    const { code, stderr } = await runCli(args);
    expect(code).toBe(2);
    expect(stderr).toContain(sentence);
  });

  it('refuse a vector of another model', async () => {
    await vectorOf(
      'small',
      [
        [0, 0],
        [1, 1],
      ],
      { recommendedLayer: 1 },
    ).save(at('small.safetensors'));
    const args = [
      'monitor',
      model,
      '--input',
      at('chats.jsonl'),
      '--out',
      at('x.jsonl'),
      '--vector',
      at('small.safetensors'),
    ];
    const { code, stderr } = await runCli(args);
    await rm(at('small.safetensors'));
    expect(code).toBe(2);
    expect(stderr).toContain('is of another model: it has 1 layers of width 2');
  });
});

describe('persona chat', () => {
  const lines = (...text: string[]) => ({ input: `${text.join('\n')}\n` });
  const chat = (...text: string[]) =>
    runCli(['chat', model, ...vectors(), '--max-tokens', '12', '--temperature', '0'], lines(...text));

  it('streams replies between bars, steers, compares, takes back and saves', async () => {
    const { code, stdout, stderr } = await chat(
      'How do I grow tomatoes?',
      '/steer odd 2',
      '/compare',
      'And potatoes?',
      '/undo',
      '/stear odd 1',
      `/save ${at('talk.json')}`,
      '/quit',
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^before +odd .* even /m);
    expect(stdout).toMatch(/^reply +odd .* even /m);
    expect(stdout).toMatch(/^steered +│ unsteered$/m);
    expect(stdout).toMatch(/steered by +coefficient +trait +cosine/);
    expect(stderr).toContain('taken back');
    expect(stderr).toContain('There is no command /stear; did you mean /steer?');
    const saved = JSON.parse(await readFile(at('talk.json'), 'utf8')) as {
      messages: { role: string }[];
      steering: object;
    };
    expect(saved.messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
    expect(saved.steering).toEqual({ interventions: [{ vector: 'odd', coef: 2 }] });
  });

  it('gives the same replies under a strength of 0 as under none', async () => {
    const plain = await chat('How do I grow tomatoes?');
    const zero = await chat('/steer odd 0', 'How do I grow tomatoes?');
    expect(zero.stdout).toBe(plain.stdout);
  });
});
