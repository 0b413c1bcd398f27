import { Command } from '@commander-js/extra-typings';
import type { PersonaVector } from '../../persona/vector.ts';
import { UsageError } from '../../errors.ts';
import { decimal } from '../arguments.ts';
import { print, printJson } from '../terminal.ts';
import { readVector } from './vector.ts';

/** One operation of the line, in the order given. */
interface Step {
  readonly operation: 'add' | 'subtract' | 'project-out' | 'scale';
  readonly file: string;
  readonly factor: number;
}

/** `persona vector combine`: sums, differences and what is left at right angles. */
export function combineCommand() {
  const steps: Step[] = [];
  const take =
    (operation: Step['operation']) =>
    (text: string): string => {
      steps.push({ operation, ...parseOperand(text) });
      return text;
    };
  const command = new Command('combine')
    .description('make a vector out of others; operations act in the order given')
    .argument('<vector>', 'what to begin with: a vector file, a run folder, a .pt or a GGUF control vector')
    .option('--add <file>', 'add a vector; FILE*0.5 takes half of it', take('add'))
    .option('--subtract <file>', 'subtract a vector', take('subtract'))
    .option(
      '--project-out <file>',
      'keep what is at right angles to a vector, layer by layer',
      take('project-out'),
    )
    .option('--scale <x>', 'multiply by a number', (text) => {
      steps.push({ operation: 'scale', file: '', factor: decimal(-Number.MAX_VALUE)(text) });
      return text;
    })
    .option(
      '--incremental',
      'last of all, what each layer adds to the one before, for steering at all layers',
    )
    .option('--trait <name>', 'name of the result (default: made of the names)')
    .requiredOption('--out <file>', 'the vector file to write')
    .option('--json', 'print the result as JSON');
  return command.action(async (path, { incremental, trait, out, json }) => {
    if (steps.length === 0 && incremental !== true)
      throw new UsageError('Expected something to do, such as --add, --scale or --incremental, got nothing.');
    let vector = await readVector(path);
    for (const step of steps) vector = await apply(vector, step);
    if (incremental === true) vector = vector.incremental();
    const { metadata } = vector;
    vector = vector.describe({
      method: `combined (${metadata.method})`,
      ...(trait !== undefined && { trait }),
    });
    await vector.save(out);
    const { describeVector, vectorSummary } = await import('../vector-result.ts');
    if (json === true) printJson({ file: out, ...vectorSummary(vector) });
    else print(`${describeVector(vector)}\nwritten to ${out}\n`);
  });
}

async function apply(vector: PersonaVector, { operation, file, factor }: Step): Promise<PersonaVector> {
  switch (operation) {
    case 'scale':
      return vector.scale(factor);
    case 'add':
      return vector.add((await readVector(file)).scale(factor));
    case 'subtract':
      return vector.subtract((await readVector(file)).scale(factor));
    case 'project-out':
      return vector.projectOut(await readVector(file));
    default:
      return operation satisfies never;
  }
}

/** `runs/evil*0.5` is half of a file's vector. */
function parseOperand(text: string): { file: string; factor: number } {
  const match = /^(.+)\*([^*/]+)$/.exec(text);
  if (match === null) return { file: text, factor: 1 };
  return { file: match[1]!, factor: decimal(-Number.MAX_VALUE)(match[2]!) };
}
