import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { PersonaVector } from '../../persona/vector.ts';
import { UsageError } from '../../errors.ts';
import { decimal, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { note, print, printJson } from '../terminal.ts';
import { combineCommand } from './vector-combine.ts';
import { fromActivationsCommand } from './vector-from-activations.ts';
import { featuresCommand } from './vector-features.ts';
import { verifyCommand } from './vector-verify.ts';

/** `persona vector`: vectors as values. */
export function vectorCommand(context: CommandContext): CommandUnknownOpts {
  return new Command('vector')
    .addCommand(showCommand())
    .addCommand(compareCommand())
    .addCommand(combineCommand())
    .addCommand(importCommand())
    .addCommand(fromActivationsCommand())
    .addCommand(exportCommand())
    .addCommand(verifyCommand(context))
    .addCommand(featuresCommand());
}

const file = 'a vector file, a run folder, a .pt or a GGUF control vector';
const poolOption = new Option('--pool <name>', 'which of its poolings (default: the one it recommends)');
const jsonOption = new Option('--json', 'print the result as JSON');

/** Reads a vector of any format, telling what was done on the way. */
export async function readVector(path: string, flags: ReadFlags = {}): Promise<PersonaVector> {
  const { PersonaVector: Vector } = await import('../../persona/vector.ts');
  const { pool: pooling, from: layout, directionZero, layerShift, layers, trait, model } = flags;
  const options = { pooling, layout, directionZero, layerShift, layers, trait, model };
  const { vector, notes } = await Vector.import(path, options);
  for (const line of notes) note(`note: ${line}`);
  return vector;
}

interface ReadFlags {
  readonly pool?: string | undefined;
  readonly from?: 'persona' | 'axis' | undefined;
  readonly directionZero?: 'move' | 'drop' | undefined;
  readonly layerShift?: number | undefined;
  readonly layers?: number | undefined;
  readonly trait?: string | undefined;
  readonly model?: string | undefined;
}

const readFlags = (): Option[] => [
  new Option(
    '--from <layout>',
    'how a .pt counts rows: persona, row l = layer l; axis, row i = block i',
  ).choices(['persona', 'axis']),
  new Option(
    '--direction-zero <what>',
    "a control vector's direction.0: move it to layer 1, or drop it (default: refuse)",
  ).choices(['move', 'drop']),
  new Option(
    '--layer-shift <n>',
    "added to every layer of a control vector; −1 for cvector-generator's",
  ).argParser(wholeNumber(-1000, 1000)),
];

function showCommand() {
  const command = new Command('show')
    .description('say what a vector is, with its norm at every layer')
    .argument('<vector>', file)
    .addOption(poolOption);
  for (const option of readFlags()) command.addOption(option);
  return command.addOption(jsonOption).action(async (path) => {
    const flags = command.opts() as ReadFlags & { readonly json?: true };
    const vector = await readVector(path, flags);
    const { describeVector, vectorSummary } = await import('../vector-result.ts');
    if (flags.json === true) printJson(vectorSummary(vector));
    else print(describeVector(vector));
  });
}

function compareCommand() {
  const command = new Command('compare')
    .description('compare two vectors layer by layer, or several at one layer')
    .argument('<vectors...>', `two or more: each ${file}`)
    .option('--layer <n>', 'of a matrix of several (default: as the first recommends)', wholeNumber(0))
    .addOption(poolOption);
  for (const option of readFlags()) command.addOption(option);
  return command.addOption(jsonOption).action(async (paths) => {
    const flags = command.opts() as ReadFlags & { readonly json?: true; readonly layer?: number };
    if (paths.length < 2)
      throw new UsageError(`Expected two vectors or more to compare, got ${paths.length}.`);
    const vectors: PersonaVector[] = [];
    for (const path of paths) vectors.push(await readVector(path, flags));
    const [{ compareVectors, cosineMatrix }, { describeComparison, describeMatrix }] = await Promise.all([
      import('../../apps/compare-vectors.ts'),
      import('../vector-result.ts'),
    ]);
    const [first, second, ...more] = vectors as [PersonaVector, PersonaVector, ...PersonaVector[]];
    if (more.length === 0 && flags.layer === undefined) {
      const compared = compareVectors(first, second);
      if (flags.json === true) printJson(compared);
      else print(describeComparison(compared));
      return;
    }
    const layer = flags.layer ?? first.metadata.recommendedLayer;
    if (layer === null)
      throw new UsageError('Expected a layer to compare several vectors at, got none; give --layer.');
    const matrix = cosineMatrix(vectors, layer);
    const names = vectors.map(({ metadata }) => metadata.trait);
    if (flags.json === true) printJson({ layer, names, cosines: matrix });
    else print(describeMatrix(layer, names, matrix));
  });
}

function importCommand() {
  const command = new Command('import')
    .description('read a vector of another format into a vector file')
    .argument('<file>', 'a .pt or a GGUF control vector')
    .requiredOption('--out <file>', 'the vector file to write')
    .option('--trait <name>', "the trait's name (default: from the file's name)")
    .option('--model <name>', 'the model that it belongs to, where the file does not say')
    .option('--pool <name>', 'the tokens that it is the mean of, where the file does not say')
    .option(
      '--layers <n>',
      "the model's number of layers, where a control vector ends before",
      wholeNumber(1),
    );
  for (const option of readFlags()) command.addOption(option);
  return command.addOption(jsonOption).action(async (path) => {
    const flags = command.opts() as ReadFlags & { readonly json?: true; readonly out: string };
    const vector = await readVector(path, flags);
    await vector.save(flags.out);
    const { describeVector, vectorSummary } = await import('../vector-result.ts');
    if (flags.json === true) printJson({ file: flags.out, ...vectorSummary(vector) });
    else print(`${describeVector(vector)}\nwritten to ${flags.out}\n`);
  });
}

function exportCommand() {
  const command = new Command('export')
    .description('write a vector in a format of other tools')
    .argument('<vector>', file)
    .addOption(
      new Option(
        '--to <format>',
        "pt: the paper's authors'; axis: assistant-axis's; gguf: llama.cpp's and repeng's",
      )
        .choices(['pt', 'axis', 'gguf', 'safetensors'] as const)
        .makeOptionMandatory(),
    )
    .option('--out <file>', 'the file to write (default: named as the format has it)')
    .option('--layer <n>', 'of a control vector: this layer alone', wholeNumber(1))
    .option('--scale <x>', 'times this, such as a strength that others take as 1', decimal(-Number.MAX_VALUE))
    .addOption(poolOption);
  for (const option of readFlags()) command.addOption(option);
  return command.addOption(jsonOption).action(async (path) => {
    const flags = command.opts() as ReadFlags & ExportFlags;
    const read = await readVector(path, flags);
    const vector = flags.scale === undefined ? read : read.scale(flags.scale);
    const { exportVector, officialFileName } = await import('../../apps/vector-files.ts');
    const stem = officialFileName(vector).replace(/_diff\.pt$/, '');
    const names = {
      pt: officialFileName(vector),
      axis: `${stem}_axis.pt`,
      gguf: `${stem}.gguf`,
      safetensors: `${stem}.safetensors`,
    };
    const out = flags.out ?? names[flags.to];
    const result = await exportVector(vector, { format: flags.to, out, layer: flags.layer });
    if (flags.json === true) printJson(result);
    else print(`written to ${result.file}\n${result.notes.map((line) => `${line}\n`).join('')}`);
  });
}

interface ExportFlags {
  readonly to: 'pt' | 'axis' | 'gguf' | 'safetensors';
  readonly out?: string;
  readonly layer?: number;
  readonly scale?: number;
  readonly json?: true;
}
