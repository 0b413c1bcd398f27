import { basename } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { CheckedTrait } from '../../apps/trait-files.ts';
import { DataError } from '../../errors.ts';
import { defined } from '../../util/defined.ts';
import { blockOption, dtypeOption } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { columns, shortPath, table } from '../render.ts';
import { note, print, printJson, printable } from '../terminal.ts';

/** `persona trait`: trait files, listed, checked and written by a language model. */
export function traitCommand(context: CommandContext): CommandUnknownOpts {
  return new Command('trait')
    .addCommand(listCommand())
    .addCommand(checkCommand())
    .addCommand(newCommand(context));
}

function listCommand() {
  return new Command('list')
    .description('list the traits that ship with the package')
    .option('--trait-set <name>', 'only this set (default: all)')
    .option('--json', 'print the list as JSON')
    .action(async ({ traitSet, json }) => {
      const { listTraits } = await import('../../apps/trait-files.ts');
      const traits = await listTraits(traitSet);
      if (json === true) {
        printJson(traits);
        return;
      }
      const rows = traits.map(({ set, name, opposite, questions }) => [
        set,
        name,
        opposite ?? '–',
        String(questions),
      ]);
      print(columns([['set', 'trait', 'opposite', 'questions'], ...rows], [0, 1, 2]));
    });
}

function checkCommand() {
  return new Command('check')
    .description('say whether a trait file can be used, and where it departs from the paper')
    .argument('<file>', 'a trait file')
    .option('--json', 'print the review as JSON')
    .action(async (file, { json }) => {
      const { checkTraitFile } = await import('../../apps/trait-files.ts');
      const checked = await checkTraitFile(file);
      if (json === true) printJson(checked);
      else print(describe(checked));
      const [first] = checked.problems;
      if (first === undefined) return;
      throw new DataError(
        `Expected "${file}" to have nothing wrong with it, got ${checked.problems.length} problems, such as ${first}; correct them and check again.`,
        { details: { file, problems: checked.problems.length } },
      );
    });
}

function newCommand({ signal }: CommandContext) {
  return new Command('new')
    .description("have a language model write a trait's instructions, questions and judge prompt")
    .argument('<name>', 'an adjective, such as melancholic')
    .requiredOption('--description <text>', 'what is meant by it, in a sentence or two')
    .requiredOption(
      '--with <provider>',
      'openai:MODEL, anthropic:MODEL, http(s)://HOST/v1#MODEL or local:MODEL',
    )
    .option('--out <file>', 'where to write it (default: <name>.json)')
    .option('--force', 'replace a file that is there')
    .addOption(dtypeOption)
    .addOption(blockOption)
    .option('--json', 'print the result as JSON')
    .action(async (name, { description, with: provider, out, force, dtype, block, json }) => {
      const { newTrait } = await import('../../apps/trait-files.ts');
      const checked = await newTrait({
        name,
        description,
        provider,
        out,
        force: force === true,
        load: defined({ dtype, blockSize: block, onNotice: note }),
        signal,
        onNote: note,
      });
      if (json === true) printJson(checked);
      else print(describe(checked));
    });
}

function describe({ file, trait, problems, remarks }: CheckedTrait): string {
  return table([
    ['file', shortPath(file)],
    ['trait', `${trait.name}${trait.opposite === null ? '' : `, against ${trait.opposite}`}`],
    ['pairs', String(trait.pairs)],
    ['questions', `${trait.questions}, and ${trait.evaluationQuestions} for evaluation`],
    ['judged by', trait.judges.length === 0 ? 'nothing' : trait.judges.join(', ')],
    ...problems.map((text): [string, string] => ['problem', printable(text)]),
    ...remarks.map((text): [string, string] => ['remark', printable(text)]),
    ['sha256', trait.sha256],
    ['run it', `persona extract MODEL ${runName(file)}`],
  ]);
}

/** A bare name would be looked for among the shipped ones. */
function runName(file: string): string {
  const short = shortPath(file);
  return short === basename(file) ? `./${short}` : short;
}
