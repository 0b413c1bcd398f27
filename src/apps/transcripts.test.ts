import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hasShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import type { DataError } from '../errors.ts';
import { readTranscripts, type Transcript } from './transcripts.ts';

async function read(
  content: string,
  name = 'chats.jsonl',
  onBad?: (error: DataError) => void,
): Promise<Transcript[]> {
  const file = join(await temporaryFolder(), name);
  await writeFile(file, content);
  return collect(file, onBad);
}

async function collect(file: string, onBad?: (error: DataError) => void): Promise<Transcript[]> {
  const all: Transcript[] = [];
  for await (const one of readTranscripts(file, { onBad })) all.push(one);
  return all;
}

const messages = [
  { role: 'system', content: 'Be kind.' },
  { role: 'user', content: 'hi' },
  { role: 'assistant', content: 'hello' },
];

describe('readTranscripts', () => {
  it('takes three layouts for the same conversation', async () => {
    const lines = [
      { id: 'a', messages },
      {
        conversation_id: 'b',
        system: 'Be kind.',
        conversations: [
          { from: 'human', value: 'hi' },
          { from: 'gpt', value: 'hello' },
        ],
      },
      { model: 'm', conversation: messages, projections: [1, 2], steering: null },
      {
        messages: [
          messages[0],
          { role: 'user', content: [{ type: 'text', text: 'hi' }] },
          { ...messages[2], refusal: null, tool_calls: [] },
        ],
      },
    ];
    const found = await read(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    expect(found.map(({ id }) => id)).toEqual(['a', 'b', 'line 3', 'line 4']);
    for (const one of found) expect(one.messages).toEqual(messages);
  });

  it('takes a JSON list of conversations, one transcript, or one list of messages', async () => {
    expect(await read(JSON.stringify([{ id: 1, messages }, { messages }]), 'chats.json')).toHaveLength(2);
    expect((await read(JSON.stringify({ conversation: messages }), 'chat.json'))[0]!.messages).toEqual(
      messages,
    );
    expect((await read(JSON.stringify(messages), 'chat.json'))[0]!.messages).toEqual(messages);
  });

  it.each<[string, string]>([
    ['{"messages":', 'line 2: expected one JSON object'],
    ['{"text":"a"}', 'line 2: expected "messages" (OpenAI), "conversations" (ShareGPT) or "conversation"'],
    ['{"messages":[]}', 'at least one message'],
    [
      '{"messages":[{"role":"narrator","content":"a"}]}',
      'line 2: expected message 1 to be of one of the roles system,',
    ],
    [
      '{"messages":[{"role":"assistant","content":null,"tool_calls":[{}]}]}',
      'line 2: expected message 1 to be text, got tool calls',
    ],
    ['{"messages":[{"role":"user","content":null}]}', 'line 2, message 1: expected a text'],
    ['{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}', 'line 2, message 1: expected a text'],
  ])('refuses %s, or leaves it out and goes on', async (bad, sentence) => {
    const good = JSON.stringify({ messages });
    await expect(read(`${good}\n${bad}\n${good}\n`)).rejects.toThrow(sentence);
    const told: string[] = [];
    const rest = await read(`${good}\n${bad}\n${good}\n`, 'chats.jsonl', ({ message }) => told.push(message));
    expect(rest.map(({ line }) => line)).toEqual([1, 3]);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(sentence);
  });

  it.skipIf(!hasShared)(
    'reads a real ShareGPT file (skipped where the reference data is absent)',
    async () => {
      const found = await collect(sharedPath('data', 'chat', 'fastchat', 'data_dummy_conversation.json'));
      expect(found.length).toBeGreaterThan(100);
      expect(found[0]!.id).toBe('identity_0');
      const [first, second] = found[0]!.messages;
      expect([first!.role, second!.role]).toEqual(['user', 'assistant']);
    },
  );
});
