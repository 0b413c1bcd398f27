import { byteAlphabet, countPieces, learnMerges } from './byte-pairs.ts';

/** Control tokens, which take the first ids. */
export const controlTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;
/** Conversations in ChatML, with no system prompt but the one that is given. */
export const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/** Contents of `tokenizer.json`, for a vocabulary of at most `vocabSize` tokens learned from the texts. */
export function tokenizerJson(texts: Iterable<string>, vocabSize: number): object {
  const room = vocabSize - controlTokens.length - byteAlphabet.length;
  // A merge that a handful of pieces has is a name by chance.
  const merges = learnMerges(countPieces(texts), room, 8);
  const tokens = [...controlTokens, ...byteAlphabet, ...merges.map(([left, right]) => left + right)];
  const vocabulary = new Map(tokens.map((token, id) => [token, id]));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: controlTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges: merges.map((pair) => pair.join(' ')),
    },
  };
}

/** Contents of `tokenizer_config.json`. */
export function tokenizerConfigJson(contextLength: number): object {
  return {
    add_bos_token: false,
    add_prefix_space: false,
    bos_token: null,
    eos_token: '<|im_end|>',
    pad_token: '<|endoftext|>',
    unk_token: null,
    clean_up_tokenization_spaces: false,
    model_max_length: contextLength,
    tokenizer_class: 'Qwen2Tokenizer',
    chat_template: chatTemplate,
  };
}
