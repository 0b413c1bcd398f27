import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { outcome } from '../../test/helpers/outcome.ts';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { DataError, ModelError, ParseError, UsageError } from '../errors.ts';
import { jinjaTemplate } from './jinja.ts';
import type { TemplateVariables } from './jinja.ts';

const now = new Date('2025-07-10T12:00:00Z');

function render(source: string, variables: TemplateVariables = {}, milliseconds?: number): string {
  return jinjaTemplate(source, 'test.jinja', milliseconds).render(variables, now);
}

describe('jinjaTemplate', () => {
  it('renders variables, loops and blocks', () => {
    expect(render('{% for x in xs %}\n{{ x }},\n{% endfor %}\n', { xs: [1, 'b'] })).toBe('1,\nb,\n');
    expect(render('{{ range(3) | list }}{{ range(5, 1, -2) | list }}')).toBe('[0, 1, 2][5, 3]');
    expect(render('{{ none is none }}{{ True }}{{ false }}')).toBe('truetruefalse');
  });

  it('reads every line end as a line feed, and leaves those of variables alone', () => {
    expect(render('a\r\n{{ x }}\rb', { x: 'c\r\n' })).toBe('a\nc\r\n\nb');
  });

  it('tells the time that it is given', () => {
    expect(render("{{ strftime_now('%d %b %Y') }}")).toBe('10 Jul 2025');
  });

  it('passes on what the template says when it refuses', () => {
    const source = "{{ raise_exception('Roles must alternate!') }}";
    expect(() => render(source)).toThrow(DataError);
    expect(() => render(source)).toThrow('"test.jinja" refuses these messages: Roles must alternate!');
  });

  it.each(['messages', 'x'])('accepts a variable named %s', (name) => {
    expect(render(`{{ ${name} }}`, { [name]: 'v' })).toBe('v');
  });

  it.each(['true', 'None', 'range', 'namespace', 'raise_exception'])(
    'refuses a variable named %s',
    (name) => {
      expect(() => render('a', { [name]: 1 })).toThrow(UsageError);
    },
  );

  it.each([
    ['an open loop', '{% for x in y %}'],
    ['an open expression', '{{ a'],
    ['deep nesting', `{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`],
    ['a long text', 'a'.repeat(1_000_001)],
  ])('refuses what is no template: %s', (_, source) => {
    expect(() => jinjaTemplate(source, 'test.jinja')).toThrow(ParseError);
  });

  it.each([
    ['an unknown filter', "{{ 'a' | nofilter }}"],
    ['an unknown function', '{{ f() }}'],
    ['a text of more than the runtime has', "{{ 'a' | indent(900000000) }}"],
    ['a value within itself', '{% set n = namespace(a=1) %}{% set n.a = n %}{{ n | tojson }}'],
    ['a range without end', '{{ range(1, 2, 0) }}'],
  ])('says why it fails: %s', (_, source) => {
    expect(() => render(source)).toThrow(ModelError);
    expect(() => render(source)).toThrow('fails on these messages (');
  });
});

describe('limits', () => {
  const loop = '{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}';

  it('stop a loop that runs for too long', () => {
    expect(() => render(loop, {}, 50)).toThrow(ModelError);
    expect(() => render(loop, {}, 50)).toThrow('takes more than 0.05 s to render');
    expect(render('{{ 1 }}')).toBe('1');
  });

  it.each([
    ['a long list', '{% set a = range(1000000000) %}', 'a list of 1000000000 items'],
    [
      'a list that doubles',
      '{% set n = namespace(a=[1]) %}{% for i in range(40) %}{% set n.a = n.a + n.a %}{% endfor %}',
      'a list of 262144 items',
    ],
    [
      'a text that doubles',
      "{% set n = namespace(a='a') %}{% for i in range(40) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
      'a text of 16777216 characters',
    ],
    [
      'output that grows',
      "{% set n = namespace(a='a') %}{% for i in range(20) %}{% set n.a = n.a ~ n.a %}{% endfor %}" +
        '{% for i in range(99) %}{{ n.a }}{% endfor %}',
      'a text of 103809024 characters',
    ],
    [
      'many texts',
      "{% set n = namespace(a='a') %}{% for i in range(20) %}{% set n.a = n.a ~ n.a %}{% endfor %}" +
        '{% for i in range(999) %}{% set b = n.a ~ i %}{% endfor %}',
      'texts of 256000000 characters',
    ],
  ])('stop what grows without bound: %s', (_, source, message) => {
    expect(() => render(source)).toThrow(ModelError);
    expect(() => render(source)).toThrow(message);
  });

  it('let a long conversation pass', () => {
    const messages = Array.from({ length: 2_000 }, (_, i) => ({
      role: 'user',
      content: `${i} `.repeat(200),
    }));
    const source = '{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}';
    expect(render(source, { messages }).length).toBeGreaterThan(1_000_000);
  });

  it('hold for any template, and nothing but the errors of this package comes out', async () => {
    const piece = fc.constantFrom(
      '{{ ',
      ' }}',
      '{% ',
      ' %}',
      'for x in ',
      'endfor',
      'if ',
      'endif',
      'set a = ',
      'macro f()',
      'messages',
      'x',
      '[',
      ']',
      '(',
      ')',
      "'a'",
      '1',
      ' + ',
      ' ~ ',
      ' | ',
      'length',
      'tojson',
      '.content',
      '[0]',
      'range(9)',
      '\n',
      '-',
    );
    const source = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 14 }).map((parts) => parts.join('')),
    );
    await fc.assert(
      fc.asyncProperty(source, async (text) => {
        const variables = { messages: [{ role: 'user', content: 'hi' }] };
        const { value, error } = await outcome(() => render(text, variables, 500));
        expect(['string', 'ParseError', 'ModelError']).toContain(error ?? typeof value);
      }),
      { numRuns: 500 },
    );
  });
});

describeWithShared('renderings of huggingface.js', () => {
  interface Rendering {
    readonly chat_template: string;
    readonly data: TemplateVariables;
    readonly target: string;
  }

  it('are met, all 53', () => {
    const file = sharedPath('data/tokenizers/chat-templates/expected-huggingface.js-e2e.json');
    const groups = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, Rendering>>;
    const renderings = Object.values(groups).flatMap((group) => Object.entries(group));
    expect(renderings).toHaveLength(53);
    for (const [name, { chat_template: source, data, target }] of renderings)
      expect([name, jinjaTemplate(source, name).render(data, now)]).toEqual([name, target]);
  });
});
