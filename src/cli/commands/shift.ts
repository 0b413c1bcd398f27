import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { ShiftResult } from '../../apps/shift.ts';
import type { LayerShift } from '../../persona/tuned/shift.ts';
import { defined } from '../../util/defined.ts';
import { fixed } from '../../util/html.ts';
import { blockOption, collected, dtypeOption, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { columns, shortPath } from '../render.ts';
import { note, print, printJson } from '../terminal.ts';

/** `persona shift`: how far fine-tuning has moved a model along the vectors of traits. */
export function shiftCommand({ signal }: CommandContext): CommandUnknownOpts {
  return new Command('shift')
    .argument('<base>', 'folder, GGUF file, or owner/name in the Hugging Face cache')
    .argument('<tuned>', 'a model of the same shape, or a LoRA adapter of the base')
    .requiredOption(
      '--vector <file>',
      'vector file, run folder or name; may be given several times',
      collected,
    )
    .option('--vectors <dir>', 'folder of vectors that are given by name (default: runs)')
    .option('--pooling <name>', "which of the files' poolings (default: the one that each recommends)")
    .option(
      '--layer <n>',
      'of the summary (default: as each vector recommends, else the middle)',
      wholeNumber(1),
    )
    .option('--trait-set <name>', "of the traits whose questions are asked (default: the model's)")
    .option('--layers', 'also print every layer')
    .option('--out <file>', 'write an HTML report')
    .addOption(dtypeOption)
    .addOption(blockOption)
    .option('--json', 'print the result as JSON, all layers')
    .action(async (base, tuned, flags) => {
      const { vector, vectors, block: blockSize, layers, out, json, ...options } = flags;
      const { shift } = await import('../../apps/shift.ts');
      const result = await shift({
        ...defined({ ...options, blockSize, vectorFolder: vectors }),
        base,
        tuned,
        vectors: vector,
        signal,
        onNotice: note,
      });
      if (out !== undefined) {
        const { writeShiftReport } = await import('../../apps/shift-report.ts');
        await writeShiftReport(out, result);
      }
      if (json === true) printJson(result);
      else print(describeShift(result, layers === true, out));
    });
}

function describeShift(
  { base, tuned, traits }: ShiftResult,
  withLayers: boolean,
  report: string | undefined,
): string {
  const head = ['trait', 'layer', 'shift', '95 % interval', 'moved in all', 'prompts'];
  const row = (trait: string, prompts: number, { layer, shift, interval, moved }: LayerShift): string[] => [
    trait,
    String(layer),
    fixed(shift, 2),
    interval === null ? '–' : `${fixed(interval.lower, 2)} … ${fixed(interval.upper, 2)}`,
    fixed(moved, 2),
    String(prompts),
  ];
  const summary = traits.map(({ trait, chosen, prompts }) => row(trait, prompts, chosen));
  const all = traits.flatMap(({ trait, layers, prompts }) => layers.map((one) => row(trait, prompts, one)));
  return [
    `From ${base} to ${tuned}, along each vector's direction at the last prompt token:\n\n`,
    columns([head, ...summary], [0]),
    withLayers ? `\n${columns([head, ...all], [0])}` : '',
    report === undefined ? '' : `\nreport  ${shortPath(report)}\n`,
  ].join('');
}
