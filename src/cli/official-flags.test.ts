import { describe, expect, it } from 'vitest';
import { translateOfficialFlags } from './official-flags.ts';

const translate = (line: string): string => translateOfficialFlags(line.split(' ')).join(' ');

describe('translateOfficialFlags', () => {
  it("turns the authors' command line into ours", () => {
    expect(
      translate(
        'extract --model_name m --pos_path p.csv --neg_path n.csv --trait evil --save_dir v --threshold 50',
      ),
    ).toBe('extract m evil --pos p.csv --neg n.csv --out v --threshold 50');
    expect(translate('extract --trait=evil --model_name=a/b --n_per_question=1 --max_tokens 9')).toBe(
      'extract a/b evil --samples 1 --max-tokens 9',
    );
  });

  it('leaves our own alone, and other commands', () => {
    for (const line of ['extract m evil --pos a --trait-set x', 'generate m --max_tokens 3', ''])
      expect(translate(line)).toBe(line);
  });
});
