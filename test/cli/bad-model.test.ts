import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copyModel, editBytes, editHeader, removeFile } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';
import { editJson } from '../helpers/edit-checkpoint.ts';

interface BrokenModel {
  readonly name: string;
  readonly damage: (folder: string) => Promise<void>;
  /** What the sentence must name. */
  readonly says: RegExp;
}

const norm = 'model.norm.weight';
const gate = 'model.layers.0.mlp.gate_proj.weight';

const brokenModels: readonly BrokenModel[] = [
  {
    name: 'truncated weights',
    damage: (folder) => editBytes(folder, (bytes) => bytes.subarray(0, 100_000)),
    says: /model\.safetensors.*bytes/,
  },
  {
    name: 'weights shorter than a header',
    damage: (folder) => editBytes(folder, (bytes) => bytes.subarray(0, 5)),
    says: /model\.safetensors/,
  },
  {
    name: 'a header that claims to be longer than the file',
    damage: (folder) =>
      editBytes(folder, (bytes) => {
        bytes.writeBigUInt64LE(2n ** 40n);
        return bytes;
      }),
    says: /model\.safetensors.*header/,
  },
  {
    name: 'a header that is no JSON',
    damage: (folder) => editBytes(folder, (bytes) => bytes.fill('{', 8, 16)),
    says: /model\.safetensors/,
  },
  {
    name: 'offsets beyond the end of the file',
    damage: (folder) =>
      editHeader(folder, (header) => {
        const [start, end] = header[norm]!.data_offsets;
        header[norm]!.data_offsets = [start + 2 ** 32, end + 2 ** 32];
      }),
    says: new RegExp(norm.replaceAll('.', '\\.')),
  },
  {
    name: 'tensors that overlap',
    damage: (folder) =>
      editHeader(folder, (header) => {
        const [start] = header[gate]!.data_offsets;
        header[norm]!.data_offsets = [start, start + 256];
      }),
    says: /overlap|share|gap|cover/i,
  },
  {
    name: 'a tensor of integers',
    damage: (folder) =>
      editHeader(folder, (header) => {
        header[norm]!.dtype = 'I32';
      }),
    says: /model\.norm\.weight.*I32/,
  },
  {
    name: 'a dtype that does not exist',
    damage: (folder) =>
      editHeader(folder, (header) => {
        header[norm]!.dtype = 'F31';
      }),
    says: /F31/,
  },
  {
    name: 'a missing tensor',
    damage: (folder) =>
      editHeader(folder, (header) => {
        header['model.other'] = header[norm]!;
        delete header[norm];
      }),
    says: /model\.norm\.weight/,
  },
  {
    name: 'a tensor of another shape',
    damage: (folder) => editJson(folder, 'config.json', { intermediate_size: 170 }),
    says: /\b170\b/,
  },
  {
    name: 'missing weights',
    damage: (folder) => removeFile(folder, 'model.safetensors'),
    says: /safetensors/,
  },
  {
    name: 'a missing shard',
    damage: async (folder) => {
      await removeFile(folder, 'model.safetensors');
      const index = { metadata: {}, weight_map: { [norm]: 'model-00001-of-00002.safetensors' } };
      await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
    },
    says: /model-00001-of-00002\.safetensors/,
  },
  {
    name: 'an unsupported family',
    damage: (folder) => editJson(folder, 'config.json', { model_type: 'mamba' }),
    says: /llama.*mamba/,
  },
  {
    name: 'an unsupported rotary kind',
    damage: (folder) => editJson(folder, 'config.json', { rope_scaling: { rope_type: 'yarn', factor: 4 } }),
    says: /yarn/,
  },
  {
    name: 'a missing config.json',
    damage: (folder) => removeFile(folder, 'config.json'),
    says: /config\.json/,
  },
  {
    name: 'a config.json that is no JSON',
    damage: (folder) => writeFile(join(folder, 'config.json'), '{"model_type": '),
    says: /config\.json.*JSON/,
  },
  {
    name: 'a tokenizer with more tokens than the model',
    damage: (folder) =>
      editJson(folder, 'tokenizer.json', {
        added_tokens: [
          {
            id: 600,
            content: '<x>',
            special: true,
            lstrip: false,
            rstrip: false,
            normalized: false,
            single_word: false,
          },
        ],
      }),
    says: /tokenizer\.json.*512/,
  },
];

describe('a model that cannot be run', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-bad-model-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.concurrent.each(brokenModels)(
    'with $name is refused in one sentence',
    async ({ name, damage, says }) => {
      const model = await copyModel(join(folder, name.replaceAll(' ', '-')));
      await damage(model);
      const result = await runCli(['inspect', model]);
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
      expect(result.stderr).toMatch(says);
    },
  );
});
