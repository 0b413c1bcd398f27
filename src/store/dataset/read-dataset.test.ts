import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../../test/helpers/shared.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { DataError, UsageError } from '../../errors.ts';
import { parseColumnMap } from './column-map.ts';
import { type BadRow, type DatasetRow, type ReadDatasetOptions, openDataset } from './read-dataset.ts';

async function read(paths: string | string[], options: ReadDatasetOptions = {}) {
  const dataset = await openDataset([paths].flat(), options);
  const rows: DatasetRow[] = [];
  for await (const row of dataset.rows()) rows.push(row);
  return { rows, schema: dataset.schema };
}

/** Writes the result of a query as a file. */
async function copy(query: string, file: string, how = 'FORMAT parquet'): Promise<void> {
  const connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
  await connection.run(`COPY (${query}) TO '${file}' (${how})`);
  connection.closeSync();
}

const chat = (n: number, more = {}): string =>
  `${JSON.stringify({
    id: `row-${n}`,
    messages: [
      { role: 'user', content: `Question ${n}?` },
      { role: 'assistant', content: `Answer ${n}.` },
    ],
    ...more,
  })}\n`;

describe('a data set', () => {
  it('is the same as lines, packed lines and Parquet, ids and order included', async () => {
    const folder = await temporaryFolder();
    // More than one row group, and more than one of DuckDB's vectors of 2,048.
    const count = 2500;
    const text = Array.from({ length: count }, (_, i) => chat(i, { note: 'ä "quoted", \\ and \t' })).join('');
    await writeFile(join(folder, 'a.jsonl'), text);
    await writeFile(join(folder, 'a.jsonl.gz'), gzipSync(text));
    const rows = `SELECT * FROM read_json('${join(folder, 'a.jsonl')}')`;
    await copy(rows, join(folder, 'b.jsonl.zst'), 'FORMAT json, COMPRESSION zstd');
    await copy(rows, join(folder, 'c.parquet'), 'FORMAT parquet, ROW_GROUP_SIZE 2048');
    const strip = ({ rows: all }: { rows: DatasetRow[] }) =>
      all.map(({ key, id, line, messages }) => ({ key, id, line, messages }));
    const plain = strip(await read(join(folder, 'a.jsonl')));
    expect(plain).toHaveLength(count);
    expect(plain[2499]).toEqual({
      key: '1:2500',
      id: 'row-2499',
      line: 2500,
      messages: [
        { role: 'user', content: 'Question 2499?' },
        { role: 'assistant', content: 'Answer 2499.' },
      ],
    });
    for (const name of ['a.jsonl.gz', 'b.jsonl.zst', 'c.parquet'])
      expect(strip(await read(join(folder, name)))).toEqual(plain);
  });

  it('is all files of a folder, in the order of their names', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'sub'));
    await writeFile(join(folder, 'b.jsonl'), chat(2));
    await writeFile(join(folder, 'a.json'), `[${chat(0)},${chat(1)}]`);
    await writeFile(join(folder, 'sub', 'c.jsonl'), chat(3));
    await writeFile(join(folder, 'README.md'), 'nothing');
    const { rows } = await read(folder);
    expect(rows.map(({ id, key }) => [id, key])).toEqual([
      ['row-0', '1:1'],
      ['row-1', '1:2'],
      ['row-2', '2:1'],
      ['row-3', '3:1'],
    ]);
  });

  it('says file and line of a bad row, or passes it over', async () => {
    const file = join(await temporaryFolder(), 'a.jsonl');
    await writeFile(file, `${chat(0)}\n{bad\n${chat(1)}{"messages":[]}\n[1]\n${chat(2)}`);
    await expect(read(file)).rejects.toThrow(`"${file}", line 3: expected one JSON object`);
    const bad: BadRow[] = [];
    const { rows } = await read(file, { onBad: (row) => bad.push(row) });
    expect(rows.map(({ id, line }) => [id, line])).toEqual([
      ['row-0', 1],
      ['row-1', 4],
      ['row-2', 7],
    ]);
    expect(bad.map(({ line }) => line)).toEqual([3, 5, 6]);
    expect(bad[1]!.problem).toContain('expected at least one message');
  });

  it('takes the columns that a map names', async () => {
    const file = join(await temporaryFolder(), 'a.jsonl');
    const row = { q: { text: 'Why?' }, best: 'So.', nr: 7 };
    const dialog = {
      nr: 8,
      dialog: [
        { who: 'Human', says: 'Hi' },
        { who: 'bot', says: 'Ho' },
      ],
    };
    await writeFile(file, `${JSON.stringify(row)}\n`);
    const pair = await read(file, { map: parseColumnMap('prompt=q.text, answer=best, id=nr') });
    expect(pair.rows[0]).toMatchObject({
      id: '7',
      messages: [
        { role: 'user', content: 'Why?' },
        { role: 'assistant', content: 'So.' },
      ],
    });
    await writeFile(file, `${JSON.stringify(dialog)}\n`);
    const list = await read(file, { map: parseColumnMap('messages=dialog,role=who,content=says') });
    expect(list.rows[0]!.messages).toEqual([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Ho' },
    ]);
    await expect(read(file)).rejects.toThrow('say with --map which columns are which');
    expect(() => parseColumnMap('promt=q,answer=a')).toThrow('did you mean "prompt"?');
    expect(() => parseColumnMap('prompt=q')).toThrow(UsageError);
  });
});

describe('schemas of published data sets', () => {
  const turns = `[{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Ho'}]`;
  const cases = [
    [
      'LMSYS-Chat-1M',
      `SELECT 'c1' AS conversation_id, 'vicuna' AS model, ${turns} AS conversation, 1 AS turn, 'English' AS language, [{'flagged': false}] AS openai_moderation, false AS redacted`,
      'c1',
    ],
    [
      'WildChat-1M',
      `SELECT 'h1' AS conversation_hash, 'gpt-4' AS model, now() AS timestamp, [{'content': 'Hi', 'role': 'user', 'toxic': false, 'turn_identifier': 1}, {'content': 'Ho', 'role': 'assistant', 'toxic': false, 'turn_identifier': 1}] AS conversation, 1 AS turn, false AS toxic`,
      'h1',
    ],
    ['UltraChat-200k', `SELECT 'Hi' AS prompt, 'p1' AS prompt_id, ${turns} AS messages`, 'p1'],
    ['Tulu-3-SFT', `SELECT 't1' AS id, ${turns} AS messages, 'flan' AS source`, 't1'],
  ] as const;
  it.each(cases)('%s in Parquet', async (name, query, id) => {
    const file = join(await temporaryFolder(), 'rows.parquet');
    await copy(query, file);
    const { rows, schema } = await read(file);
    expect(schema).toBe(name);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      id,
      source: name === 'Tulu-3-SFT' ? 'flan' : file,
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'Ho' },
      ],
    });
  });
});

describe('--where', () => {
  it('filters lines and Parquet alike, and keeps their numbers', async () => {
    const folder = await temporaryFolder();
    const lines = [0, 1, 2, 3].map((n) => chat(n, { language: n % 2 ? 'en' : 'de', turn: n, ok: n > 1 }));
    await writeFile(join(folder, 'a.jsonl'), lines.join(''));
    await copy(`SELECT * FROM read_json('${join(folder, 'a.jsonl')}')`, join(folder, 'b.parquet'));
    for (const name of ['a.jsonl', 'b.parquet']) {
      const { rows } = await read(join(folder, name), { where: "language = 'en' AND turn >= 1 AND ok" });
      expect(rows.map(({ line }) => line)).toEqual([4]);
    }
  });

  it('reads and writes nothing else', async () => {
    const folder = await temporaryFolder();
    const [file, secret, out] = ['a.jsonl', 'secret.txt', 'out.txt'].map((name) => join(folder, name));
    await writeFile(file!, chat(0));
    await writeFile(secret!, 'secret');
    const attempts = [
      `id IN (SELECT content FROM read_text('${secret}'))`,
      `1 = 1) UNION SELECT 1, content FROM read_text('${secret}') WHERE (1 = 1`,
      `1 = 1); COPY (SELECT 1) TO '${out}'; SELECT (1`,
      `1 = 1) ORDER BY (1`,
      `EXISTS (FROM '${secret}')`,
      'SET enable_external_access = true',
      'nothing =',
    ];
    for (const where of attempts) await expect(read(file!, { where })).rejects.toThrow(UsageError);
    await expect(read(file!, { where: 'no_such_column > 3' })).rejects.toThrow('it does not fit');
    await expect(readFile(out!)).rejects.toThrow('ENOENT');
  });
});

describe('files that are none', () => {
  it('are refused in one sentence', async () => {
    const folder = await temporaryFolder();
    await expect(read(join(folder, 'none.jsonl'))).rejects.toThrow('check the path');
    await expect(read(folder)).rejects.toThrow('Expected files that end in');
    await writeFile(join(folder, 'a.parquet'), 'not parquet');
    await expect(read(join(folder, 'a.parquet'))).rejects.toThrow(DataError);
    await writeFile(join(folder, 'a.jsonl.zst'), 'not zstd');
    await expect(read(join(folder, 'a.jsonl.zst'))).rejects.toThrow(DataError);
  });
});

describeWithShared('real files', () => {
  const cases = [
    ['OpenAI messages', 'data/persona/official-dataset/evil', 9362],
    ['Alpaca', 'data/chat/llama-factory/alpaca_en_demo.json', 999],
    ['ShareGPT', 'data/chat/fastchat/data_dummy_conversation.json', 500],
    ['ShareGPT', 'data/chat/llama-factory/glaive_toolcall_en_demo.json', 300],
    ['OpenAI messages', 'data/chat/llama-factory/v1_sft_demo.jsonl', 500],
  ] as const;
  it.each(cases)('%s: %s', async (name, path, count) => {
    const { rows, schema } = await read(sharedPath(path));
    expect(schema).toBe(name);
    expect(rows).toHaveLength(count);
    expect(rows.every(({ messages }) => messages.some(({ role }) => role === 'assistant'))).toBe(true);
  });
});
