/** The tokenizer against ids and texts that other implementations made. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { vocabularies } from '../../test/helpers/vocabularies.ts';
import type { Vocabulary } from '../../test/helpers/vocabularies.ts';
import type { JsonObject } from './json-text.ts';
import { jsonFields } from './json-fields.ts';
import { buildTokenizer } from './tokenizer.ts';
import type { TextTokenizer } from './tokenizer.ts';

interface Case {
  readonly text: string;
  readonly ids: readonly number[];
  readonly decoded: string;
}

/** Which cases of the expectations a vocabulary can run; the others have no vocabulary here. */
const transformersCases: Readonly<Record<Vocabulary, readonly (readonly [family: string, name: string])[]>> =
  {
    qwen2: [['qwen2', 'Xenova/Qwen1.5-0.5B-Chat']],
    'gpt-2': [
      ['gpt2', 'Xenova/gpt2'],
      ['gpt2', 'openai-community/gpt2'],
    ],
    'llama-spm': [['llama', 'Xenova/llama-tokenizer']],
    'llama-bpe': [
      ['llama', 'Xenova/llama3-tokenizer-new'],
      ['llama', 'Xenova/llama3-tokenizer'],
    ],
  };
/** Made with a file whose post-processor adds no BOS. */
const withoutBos = 'Xenova/llama3-tokenizer';

function build(document: object): TextTokenizer {
  return buildTokenizer(
    jsonFields(document as JsonObject, 'tokenizer.json'),
    jsonFields({}, 'config'),
    200_000,
  );
}

/** The clean-up that the configs of GPT-2 and Llama 3 ask for; `decode` gives the text as the model wrote it. */
function cleanUp(text: string): string {
  return text.replace(/ ([.?!,])/g, '$1');
}

describeWithShared('reference vocabularies', () => {
  let expected: Record<string, Record<string, Record<string, Case>>>;
  beforeAll(() => {
    const file = sharedPath('data/tokenizers/expected-transformers.js.json');
    expected = JSON.parse(readFileSync(file, 'utf8')) as typeof expected;
  });

  describe.each(Object.keys(vocabularies) as Vocabulary[])('%s', (vocabulary) => {
    let tokenizer: TextTokenizer;
    beforeAll(async () => {
      tokenizer = build(await Promise.resolve(vocabularies[vocabulary]()));
    });

    it.each(transformersCases[vocabulary])(
      'encodes and decodes as transformers.js does: %s %s',
      (family, name) => {
        const cases = Object.entries(expected[family]?.[name] ?? {});
        expect(cases.length).toBeGreaterThan(20);
        for (const [label, { text, ids, decoded }] of cases) {
          const encoded =
            name === withoutBos ? tokenizer.encode(text, { special: true }) : tokenizer.encodePrompt(text);
          const made = tokenizer.decode(ids);
          const shown = vocabulary === 'gpt-2' || vocabulary === 'llama-bpe' ? cleanUp(made) : made;
          expect({ label, ids: encoded, decoded: shown }).toEqual({ label, ids, decoded });
        }
      },
    );

    it('encodes as llama.cpp does', () => {
      const file = sharedPath(`data/tokenizers/llama.cpp-vocab/ggml-vocab-${vocabulary}.gguf`);
      // A separator follows every text, and a line end every line of ids.
      const texts = readFileSync(`${file}.inp`, 'utf8').split('\n__ggml_vocab_test__\n').slice(0, -1);
      const lines = readFileSync(`${file}.out`, 'utf8').split('\n').slice(0, -1);
      expect(texts.length).toBe(lines.length);
      for (const [i, text] of texts.entries()) {
        const ids = (lines[i] ?? '').split(' ').filter((id) => id !== '');
        expect([text, ...tokenizer.encode(text, { special: false })]).toEqual([text, ...ids.map(Number)]);
      }
    });
  });
});
