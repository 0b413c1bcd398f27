import { Command, Option } from '@commander-js/extra-typings';
import { basename, extname } from 'node:path';
import { UsageError } from '../../errors.ts';
import type { ActivationsSource } from '../../persona/vector-from-activations.ts';
import { wholeNumber, wholeNumbers } from '../arguments.ts';
import { print, printJson } from '../terminal.ts';

/** `persona vector from-activations`: the difference of means of activations that another tool saved. */
export function fromActivationsCommand() {
  const command = new Command('from-activations')
    .description('make a vector of activations that another tool saved')
    .option('--pos <file>', 'activations of positive rows: safetensors or .pt, [rows, layers, width]')
    .option('--neg <file>', 'of negative ones')
    .option('--rows <file>', 'or both in one file, with labels')
    .option('--labels <file>', '1 or 0 a line, for --rows (default: its tensor "labels")')
    .requiredOption('--out <file>', 'the vector file to write')
    .addOption(
      new Option(
        '--from <layout>',
        'how layers are counted: hidden-states, embeddings first and the last after the final norm; blocks, outputs of blocks; persona, as `persona activations`',
      ).choices(['hidden-states', 'blocks', 'persona'] as const),
    )
    .option(
      '--at <layers>',
      'the layers that are in the file, such as 16 or 10,20, where not all are',
      wholeNumbers,
    )
    .option('--layers <n>', "the model's number of layers, with --at", wholeNumber(1))
    .option('--tensor <name>', 'of a safetensors file with several')
    .option('--trait <name>', "the trait's name (default: from the file's name)")
    .option('--model <name>', 'the model that it belongs to, where the file does not say')
    .option('--pool <name>', 'the tokens that rows are means of, where the file does not say')
    .option('--json', 'print the result as JSON');
  return command.action(async () => {
    const { pos, neg, rows, labels, out, from, pool, json, ...flags } = command.opts();
    const source = await sourceOf({ pos, neg, rows, labels });
    const path = pos ?? rows!;
    const { vectorFromActivations } = await import('../../persona/vector-from-activations.ts');
    const vector = await vectorFromActivations(source, {
      ...flags,
      layout: from,
      pooling: pool,
      trait: flags.trait ?? basename(path, extname(path)),
    });
    await vector.save(out);
    const { describeVector, vectorSummary } = await import('../vector-result.ts');
    if (json === true) printJson({ file: out, ...vectorSummary(vector) });
    else print(`${describeVector(vector)}\nwritten to ${out}\n`);
  });
}

async function sourceOf({
  pos,
  neg,
  rows,
  labels,
}: {
  readonly pos: string | undefined;
  readonly neg: string | undefined;
  readonly rows: string | undefined;
  readonly labels: string | undefined;
}): Promise<ActivationsSource> {
  if (rows === undefined && labels === undefined && pos !== undefined && neg !== undefined)
    return { pos, neg };
  if (rows === undefined || pos !== undefined || neg !== undefined)
    throw new UsageError(
      'Expected --pos and --neg, or --rows with labels, got another set of files; give one of the two.',
    );
  if (labels === undefined) return { rows };
  const { readLabels } = await import('../../store/labels-file.ts');
  return { rows, labels: await readLabels(labels) };
}
