import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel, namedShapes } from '../helpers/random-model.ts';
import { shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';

interface BadTraining {
  readonly name: string;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Lines of rows.jsonl. */
  readonly rows?: readonly unknown[];
  /** The sentence, to the letter; FOLDER stands for the working folder. */
  readonly says: string;
}

const good = { ids: [1, 5, 6, 7], response_start: 2 };
const chat = (...messages: readonly (readonly [string, string])[]): object => ({
  messages: messages.map(([role, content]) => ({ role, content })),
});

const bad: readonly BadTraining[] = [
  {
    name: 'an unknown key',
    config: { lerning_rate: 1e-4 },
    says: '"train.json": unknown key "lerning_rate"; did you mean "learning_rate"?',
  },
  {
    name: 'a learning rate that is a program',
    config: { learning_rate: '10**-4' },
    says: '"train.json": expected "learning_rate" to be a number such as 1e-4 or "1e-4", got "10**-4"; a text is read as a number, never evaluated.',
  },
  {
    name: 'a loss that is not implemented',
    config: { loss: 'dpo' },
    says: '"train.json": "loss" is "dpo", which trains on pairs of preferred and rejected replies and is not implemented; use "sft".',
  },
  {
    name: 'no message',
    rows: [{ messages: [] }],
    says: '"rows.jsonl", line 1: in "messages", expected at least one message.',
  },
  {
    name: 'an empty message',
    rows: [chat(['user', ''], ['assistant', 'b'])],
    says: '"rows.jsonl", line 1: expected message 1 (user) to say something, got an empty text; remove the row or fill it.',
  },
  {
    name: 'a role that there is not',
    rows: [chat(['narrator', 'a'], ['assistant', 'b'])],
    says: '"rows.jsonl", line 1: in "messages.0.role", invalid option: expected one of "system"|"developer"|"user"|"assistant"|"tool".',
  },
  {
    name: 'a reply that is missing',
    rows: [chat(['user', 'a'])],
    says: '"rows.jsonl", line 1: expected the last message to be the assistant\'s, got role "user"; end the conversation with a reply.',
  },
  {
    name: 'a conversation for a model without a chat template',
    rows: [chat(['user', 'a'], ['assistant', 'b'])],
    says: '"rows.jsonl", line 1: this model has no chat template, so that messages cannot be trained on; give rows of "ids", or put a chat_template.jinja into its folder.',
  },
  {
    name: 'two layouts in a file',
    rows: [good, chat(['user', 'a'], ['assistant', 'b'])],
    says: '"rows.jsonl", line 2: expected "ids" as in line 1, got "messages"; a file has rows of one layout, so put these into a file of their own.',
  },
  {
    name: 'no response token in any row',
    rows: [{ ids: [1, 2, 3], response_start: 3 }],
    says: 'Expected at least one row with response tokens in "rows.jsonl", got 1 of which 0 are longer than 512 tokens and 1 have no response token within them; raise "max_seq_length" or check the rows.',
  },
  {
    name: 'rows that are all over the limit',
    config: { max_seq_length: 3, long_rows: 'skip' },
    says: 'Expected at least one row with response tokens in "rows.jsonl", got 2 of which 2 are longer than 3 tokens and 0 have no response token within them; raise "max_seq_length" or check the rows.',
  },
  {
    name: 'an id of another tokenizer',
    rows: [good, { ids: [1, 512], response_start: 1 }],
    says: '"rows.jsonl", line 2: expected token ids from 0 to 511, got 512; they may come from another tokenizer.',
  },
  {
    name: 'a file of rows that is not there',
    config: { training_file: 'nowhere.jsonl' },
    says: 'Could not read "nowhere.jsonl": nothing is there; check the path.',
  },
  {
    name: 'a vector of another model',
    config: { steering: [{ vector: [1, 2, 3], layer: 1, coef: 1 }] },
    says: "intervention 1: expected a vector of the model's width 64, got 3 numbers; it may belong to another model",
  },
  {
    name: 'steering without a strength',
    config: { steering: [{ vector: [1, 2, 3], layer: 1 }] },
    says: 'steering entry 1: expected exactly one of "coef", "ablate": true, or "min"/"max", got none of them.',
  },
  {
    name: 'a .pt file that is none',
    config: {
      enable_steering_during_training: true,
      steering_config: { steering_vector_path: 'rows.pt', type: 'steer', steering_coef: 5, layers: [1] },
    },
    says: '"rows.pt" is no archive that can be read: expected a ZIP directory at its end, got none; download it again.',
  },
];

describe('bad input of a training', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-bad-training-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function scene(name: string, config: object, rows: readonly unknown[]): Promise<string> {
    const cwd = join(folder, name.replaceAll(/\W+/g, '-'));
    await mkdir(cwd);
    const own = { model: shippedModel, training_file: 'rows.jsonl', output_dir: 'out', max_steps: 2 };
    await writeFile(join(cwd, 'train.json'), JSON.stringify({ ...own, ...config }));
    await writeFile(join(cwd, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    await writeFile(join(cwd, 'rows.pt'), 'PK, but no archive at all');
    return cwd;
  }

  it.concurrent.each(bad)('$name ends in one sentence and leaves no file', async (given) => {
    const cwd = await scene(given.name, given.config ?? {}, given.rows ?? [good, good]);
    const result = await runCli(['train', 'train.json'], { cwd });
    expect(result.stderr).toBe(`error: ${given.says}\n`);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect((await readdir(cwd)).sort()).toEqual(['rows.jsonl', 'rows.pt', 'train.json']);
  });

  it('an adapter for another base is named with the difference', async () => {
    const cwd = await scene('other-base', { r: 4 }, [good]);
    expect((await runCli(['train', 'train.json'], { cwd })).code).toBe(0);
    await writeRandomModel(join(cwd, 'other'), namedShapes.tiny, { seed: 1, dtype: 'F32' });
    const more = {
      model: 'other',
      training_file: 'rows.jsonl',
      output_dir: 'next',
      r: 4,
      init_adapter: 'out',
    };
    await writeFile(join(cwd, 'next.json'), JSON.stringify({ ...more, max_steps: 1 }));
    const next = await runCli(['train', 'next.json'], { cwd });
    expect(next.code).toBe(2);
    expect(next.stderr).toMatch(/^error: [^\n]*adapter_model\.safetensors[^\n]*expected[^\n]*got[^\n]*\n$/);
    const merge = await runCli(['merge', 'other', 'out', '--out', 'merged'], { cwd });
    expect(merge.code).toBe(2);
    expect(merge.stderr).toMatch(/^error: [^\n]*adapter_model\.safetensors[^\n]*expected[^\n]*got[^\n]*\n$/);
  });

  it('a loss that is no number names the rows and keeps what is good', async () => {
    const cwd = await scene(
      'diverging',
      {
        learning_rate: 1e30,
        lr_scheduler_type: 'constant',
        max_steps: 20,
        is_peft: false,
        max_grad_norm: null,
        optim: 'sgd',
        weight_decay: 0,
        save_steps: 1,
      },
      [good, good],
    );
    const result = await runCli(['train', 'train.json'], { cwd });
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(
      /^error: Step \d+: expected (?:the loss|the gradient) to be a finite number, got none for the rows at line [12](?:; line [12])?; the parameters of step \d+ are kept, so look at these rows, or lower "learning_rate" or "max_grad_norm" in a run of its own\.\n$/m,
    );
    expect(await readdir(join(cwd, 'out'))).not.toContain('manifest.json');
  });

  it('other options in the folder of a run are named', async () => {
    const cwd = await scene('other-options', { r: 4 }, [good]);
    expect((await runCli(['train', 'train.json'], { cwd })).code).toBe(0);
    const before = await readFile(join(cwd, 'out/adapter_model.safetensors'));
    const config = JSON.parse(await readFile(join(cwd, 'train.json'), 'utf8')) as object;
    await writeFile(join(cwd, 'train.json'), JSON.stringify({ ...config, r: 8 }));
    const again = await runCli(['train', 'train.json'], { cwd });
    expect(again.code).toBe(2);
    expect(again.stderr).toMatch(/holds a run made with other options \(options\.r is 4 there and 8 here\)/);
    expect(await readFile(join(cwd, 'out/adapter_model.safetensors'))).toEqual(before);
    await cp(join(cwd, 'out'), join(cwd, 'copy'), { recursive: true });
    const elsewhere = await runCli(['train', 'train.json', '--output', 'fresh'], { cwd });
    expect(elsewhere.code).toBe(0);
  });
});
