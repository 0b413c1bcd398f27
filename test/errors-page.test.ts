import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as errors from '../src/errors.ts';
import { projectRoot } from './helpers/source.ts';

const classes = Object.values(errors).filter((value) => value !== errors.PersonaError);

describe('docs/errors.md', () => {
  const page = readFileSync(join(projectRoot, 'docs', 'errors.md'), 'utf8');

  it.each(classes.map((Class) => [Class.name, Class] as const))(
    'has the three answers for %s',
    (name, Class) => {
      const { code } = new (Class as typeof errors.UsageError)('');
      const section = page.split(`\n## ${name} (\`${code}\`)\n`)[1]?.split('\n## ')[0] ?? '';
      for (const answer of ['Symptom', 'Cause', 'Fix']) expect(section).toContain(`**${answer}.**`);
    },
  );

  it('has no others', () => {
    expect(page.match(/^## /gm)).toHaveLength(classes.length);
  });
});
