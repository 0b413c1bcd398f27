import { describe, expect, it } from 'vitest';
import { findProviderKey } from './provider-key.ts';
import { type ProviderSpec, parseProviderSpec } from './provider-spec.ts';

describe('parseProviderSpec', () => {
  it.each<[string, ProviderSpec]>([
    ['openai:gpt-4.1-mini', { kind: 'openai', id: 'openai:gpt-4.1-mini', model: 'gpt-4.1-mini' }],
    ['anthropic:claude-x', { kind: 'anthropic', id: 'anthropic:claude-x', model: 'claude-x' }],
    ['local:models/a b', { kind: 'local', id: 'local:models/a b', path: 'models/a b' }],
    [
      'http://127.0.0.1:8080/v1/#org/model:q4',
      {
        kind: 'compatible',
        id: 'http://127.0.0.1:8080/v1#org/model:q4',
        base: 'http://127.0.0.1:8080/v1',
        model: 'org/model:q4',
      },
    ],
  ])('reads %s', (text, spec) => {
    expect(parseProviderSpec(text)).toEqual(spec);
  });

  it.each([
    ['openai:', /got "openai:"/],
    ['openai:a b', /got "openai:a b"/],
    ['mistral:x', /got "mistral:x"/],
    ['http://127.0.0.1/v1', /name a model after "#"/],
    ['ftp://host/#m', /got "ftp/],
    ['https://user:hunter2@host/v1#m', /without user name, password or query, got another text/],
    ['https://host/v1?key=hunter2#m', /without user name, password or query/],
    ['https://', /without user name, password or query/],
  ])('refuses %s', (text, message) => {
    expect(() => parseProviderSpec(text)).toThrow(message);
    // What may be a secret is not repeated.
    expect(() => parseProviderSpec(text)).not.toThrow(/hunter2/);
  });
});

describe('findProviderKey', () => {
  const remote = (text: string) => parseProviderSpec(text) as Exclude<ProviderSpec, { kind: 'local' }>;
  const environment = {
    OPENAI_API_KEY: ' one\n',
    ANTHROPIC_API_KEY: 'two',
    PERSONA_KEY_API_EXAMPLE_COM: 'three',
    PERSONA_KEY_LOCALHOST: 'four',
  };

  it.each([
    ['openai:m', 'OPENAI_API_KEY', 'one'],
    ['anthropic:m', 'ANTHROPIC_API_KEY', 'two'],
    ['https://api.example.com/v1#m', 'PERSONA_KEY_API_EXAMPLE_COM', 'three'],
    ['http://localhost:11434/v1#m', 'PERSONA_KEY_LOCALHOST', 'four'],
    ['https://api.example.org/v1#m', 'PERSONA_KEY_API_EXAMPLE_ORG', null],
  ])('of %s is in %s', (text, variable, value) => {
    expect(findProviderKey(remote(text), environment)).toEqual({ variable, value });
  });

  it('is missed, refused and kept off the open network in words that do not show it', () => {
    expect(() => findProviderKey(remote('openai:m'), {})).toThrow(
      /environment variable OPENAI_API_KEY, got none/,
    );
    expect(() => findProviderKey(remote('openai:m'), { OPENAI_API_KEY: 'a b' })).toThrow(/plain ASCII/);
    const open = remote('http://api.example.com/v1#m');
    expect(() => findProviderKey(open, environment)).toThrow(/https for http:\/\/api\.example\.com/);
    expect(() => findProviderKey(open, environment)).not.toThrow(/three/);
    expect(findProviderKey(open, {}).value).toBeNull();
  });
});
