import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcome } from '../../test/helpers/outcome.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { DataError, ModelError, ParseError } from '../errors.ts';
import { chatTemplate, loadChatTemplate } from './chat-template.ts';
import type { ChatMessage } from './chat-template.ts';

const hello: readonly ChatMessage[] = [{ role: 'user', content: 'Hello' }];

async function load(files: Readonly<Record<string, unknown>>): ReturnType<typeof loadChatTemplate> {
  const folder = await temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    const raw = typeof content === 'string' || content instanceof Uint8Array;
    await writeFile(join(folder, name), raw ? content : JSON.stringify(content));
  }
  return loadChatTemplate(folder);
}

describe('loadChatTemplate', () => {
  it('is null for a base model', async () => {
    expect(await load({})).toBeNull();
    expect(await load({ 'tokenizer_config.json': { chat_template: null } })).toBeNull();
    expect(await load({ 'tokenizer_config.json': { chat_template: [] } })).toBeNull();
  });

  it('takes the template of tokenizer_config.json', async () => {
    const template = await load({ 'tokenizer_config.json': { chat_template: '{{ messages[0].content }}' } });
    expect(template?.source).toBe('{{ messages[0].content }}');
    expect(template?.render(hello)).toBe('Hello');
  });

  it('takes the one named default of several, or the only one', async () => {
    const named = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'chat' },
    ];
    expect((await load({ 'tokenizer_config.json': { chat_template: named } }))?.source).toBe('chat');
    expect((await load({ 'tokenizer_config.json': { chat_template: named.slice(0, 1) } }))?.source).toBe(
      'tools',
    );
    const others = named.map((entry, i) => ({ ...entry, name: `t${i}` }));
    await expect(load({ 'tokenizer_config.json': { chat_template: others } })).rejects.toThrow(ModelError);
  });

  it('prefers chat_template.jinja', async () => {
    const files = { 'chat_template.jinja': 'file', 'tokenizer_config.json': { chat_template: 'config' } };
    expect((await load(files))?.source).toBe('file');
  });

  it('gives the template the special tokens of both files', async () => {
    const template = await load({
      'chat_template.jinja': '{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token }}',
      'tokenizer_config.json': { bos_token: '<s>', eos_token: { content: '</s>' }, unk_token: null },
      'special_tokens_map.json': { bos_token: 'other', pad_token: '<pad>' },
    });
    expect(template?.render(hello)).toBe('<s></s><pad>');
  });

  it.each<[string, Record<string, unknown>]>([
    ['a template that is a number', { 'tokenizer_config.json': { chat_template: 1 } }],
    ['a list of texts', { 'tokenizer_config.json': { chat_template: ['a'] } }],
    ['a template without text', { 'tokenizer_config.json': { chat_template: [{ name: 'default' }] } }],
    ['a token that is a list', { 'chat_template.jinja': 'a', 'tokenizer_config.json': { bos_token: [] } }],
    ['no Jinja', { 'chat_template.jinja': '{% if %}' }],
    ['no UTF-8', { 'chat_template.jinja': new Uint8Array([0xff, 0xfe]) }],
    ['no JSON', { 'tokenizer_config.json': '{' }],
    ['too long a file', { 'chat_template.jinja': 'a'.repeat(4_000_001) }],
  ])('refuses %s', async (_, files) => {
    await expect(load(files)).rejects.toThrow(ParseError);
  });

  it('throws nothing but the errors of this package, whatever the config', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (template, token) => {
        const config = { chat_template: template, bos_token: token };
        const { error } = await outcome(() => load({ 'tokenizer_config.json': config }));
        expect([null, 'ParseError', 'ModelError']).toContain(error);
      }),
      { numRuns: 50 },
    );
  });
});

describe('render', () => {
  it('tells the template whether a reply is to follow, and what callers add', () => {
    const template = chatTemplate('{{ add_generation_prompt }} {{ enable_thinking }}', {}, 'test');
    expect(template.render(hello)).toBe('false ');
    const options = { addGenerationPrompt: true, variables: { enable_thinking: false } };
    expect(template.render(hello, options)).toBe('true false');
  });

  it('gives the template neither tools nor documents', () => {
    expect(chatTemplate('{{ tools is none }} {{ documents is none }}', {}, 'test').render(hello)).toBe(
      'true true',
    );
  });

  it('tells one fixed day unless another is asked for', () => {
    const template = chatTemplate("{{ date_string }}, {{ strftime_now('%Y-%m-%d') }}", {}, 'test');
    expect(template.render(hello)).toBe('26 Jul 2024, 2024-07-26');
    expect(template.render(hello, { now: new Date('2025-01-02T00:00:00Z') })).toBe('02 Jan 2025, 2025-01-02');
  });

  it('passes a refusal on', () => {
    const template = chatTemplate("{{ raise_exception('System role not supported') }}", {}, 'test');
    expect(() => template.render(hello)).toThrow(DataError);
    expect(() => template.render(hello)).toThrow('System role not supported');
  });
});
