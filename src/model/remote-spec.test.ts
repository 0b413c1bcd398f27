import { describe, expect, it } from 'vitest';
import { parseRemoteSpec, remoteId } from './remote-spec.ts';

describe('parseRemoteSpec', () => {
  it.each([
    [
      'vllm-lens:http://gpu:8000/v1#Qwen/Qwen2.5-7B',
      'vllm-lens',
      'http://gpu:8000/v1',
      'Qwen/Qwen2.5-7B',
      null,
    ],
    ['easysteer:https://gpu.lab/v1/#m', 'easysteer', 'https://gpu.lab/v1', 'm', null],
    ['easysteer:http://gpu:8017#m', 'easysteer', 'http://gpu:8017/v1', 'm', null],
    ['vllm-lens:http://[::1]:8000/proxy/v1#a%23b', 'vllm-lens', 'http://[::1]:8000/proxy/v1', 'a#b', null],
    [
      'vllm-lens:http://gpu:8000/v1#/data/m&files=models/tiny',
      'vllm-lens',
      'http://gpu:8000/v1',
      '/data/m',
      'models/tiny',
    ],
  ])('reads %s', (text, kind, base, model, files) => {
    const spec = parseRemoteSpec(text)!;
    expect(spec).toEqual({ kind, base, model, files: files ?? model });
    expect(parseRemoteSpec(`${remoteId(spec)}&files=${spec.files}`)).toEqual({
      ...spec,
      model: decodeURIComponent(model),
    });
  });

  it.each(['models/tiny', 'owner/name', 'http://gpu:8000/v1#m', 'vllm:http://gpu:8000#m', ''])(
    'leaves %s to others',
    (text) => {
      expect(parseRemoteSpec(text)).toBeNull();
    },
  );

  it.each([
    ['vllm-lens:', 'without user name, password or query'],
    ['vllm-lens:gpu:8000#m', 'without user name, password or query'],
    ['vllm-lens:ftp://gpu/v1#m', 'without user name, password or query'],
    ['vllm-lens:http://user:secret@gpu/v1#m', 'without user name, password or query'],
    ['vllm-lens:http://gpu/v1?key=secret#m', 'without user name, password or query'],
    ['vllm-lens:http://gpu:8000/v1', 'to name a model after "#"'],
    ['vllm-lens:http://gpu:8000/v1#&files=x', 'to name a model after "#"'],
  ])('refuses %s', (text, message) => {
    expect(() => parseRemoteSpec(text)).toThrow(message);
    expect(() => parseRemoteSpec(text)).not.toThrow('secret');
  });
});
