import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { ModelFacts } from '../../apps/inspect.ts';
import { modelArgument } from '../arguments.ts';
import { bytes, shortPath, table } from '../render.ts';
import { print, printJson } from '../terminal.ts';

/** `persona inspect`: what a checkpoint is, without loading a weight. */
export function inspectCommand(): CommandUnknownOpts {
  return new Command('inspect')
    .addArgument(modelArgument)
    .option('--json', 'print the facts as JSON')
    .action(async (model, { json }) => {
      const { inspect } = await import('../../apps/inspect.ts');
      const facts = await inspect(model);
      if (json === true) printJson(facts);
      else print(describe(facts));
    });
}

function describe(facts: ModelFacts): string {
  const { memory, tokenizer, rope, windows } = facts;
  const count = (value: number): string => value.toLocaleString('en-US');
  const dtypes = Object.entries(facts.dtypes).map(([dtype, n]) => `${count(n)} in ${dtype}`);
  const files = facts.weightFiles === 1 ? '1 file' : `${facts.weightFiles} files`;
  const scaling = rope.scaling.kind === 'default' ? '' : `, ${rope.scaling.kind} scaling`;
  const rows: [string, string][] = [
    ['model', facts.revision === null ? facts.id : `${facts.id} at ${facts.revision}`],
    facts.file === null ? ['folder', shortPath(facts.folder)] : ['file', shortPath(facts.file)],
    ['family', facts.family],
    ['parameters', `${count(facts.parameters)} (${dtypes.join(', ')})`],
    [
      'layers',
      `${facts.layers}; layer l is resid_post of block l of ${facts.layers}, layer 0 the embeddings`,
    ],
    ['width', `${facts.width}, MLP ${facts.mlpWidth}`],
    ['attention', `${facts.heads} heads of size ${facts.headSize}, ${facts.kvHeads} of keys and values`],
    ['context', `${count(facts.context)} tokens, rotary base ${rope.theta}${scaling}`],
    ...windows
      .slice(0, 1)
      .map(({ tokens }): [string, string] => [
        'window',
        `${count(tokens)} tokens in ${windows.length} of ${facts.layers} blocks`,
      ]),
    [
      'vocabulary',
      `${count(facts.vocabulary)}${facts.tiedEmbeddings ? ', embeddings tied to the output' : ''}`,
    ],
    [
      'tokenizer',
      tokenizer === null
        ? 'none: ids only'
        : `${count(tokenizer.tokens)} tokens, ${tokenizer.addedTokens} of them added`,
    ],
    ['chat template', facts.chatTemplate ? 'yes' : 'none: a base model'],
    ['end of reply', facts.endOfReply.length === 0 ? 'none' : facts.endOfReply.join(', ')],
    ['on disk', `${bytes(facts.sizeOnDisk)} in ${files}`],
    [
      'memory, fp32',
      `${bytes(memory.onePass)} for one pass, ${bytes(memory.generate)} to generate, and ${bytes(memory.cachePerToken)} a token of cache`,
    ],
    ['fingerprint', facts.fingerprint],
    ...(facts.unusedTensors.length === 0
      ? []
      : [['unused tensors', facts.unusedTensors.slice(0, 5).join(', ')] as [string, string]]),
  ];
  return table(rows);
}
