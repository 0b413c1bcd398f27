import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { CommandContext } from './context.ts';

/** A command as the list of all of them shows it; what it takes is read when it is called for. */
export interface ListedCommand {
  readonly name: string;
  readonly description: string;
  readonly load: () => Promise<(context: CommandContext) => CommandUnknownOpts>;
}

/** All commands, under the headings of the help. */
export const commandGroups: Readonly<Record<string, readonly ListedCommand[]>> = {
  'Find a trait and prove it': [
    {
      name: 'extract',
      description: "find a trait's vector at every layer, and measure whether it steers",
      load: async () => (await import('./commands/extract.ts')).extractCommand,
    },
    {
      name: 'validate',
      description: "measure whether a run's vector steers, by the paper's protocol and at boundaries",
      load: async () => (await import('./commands/validate.ts')).validateCommand,
    },
    {
      name: 'report',
      description: 'show what a finished run found, and write its page again',
      load: async () => (await import('./commands/report.ts')).reportCommand,
    },
    {
      name: 'judge',
      description: "show a run's scores, compute them again from the judge's answers, or ask another judge",
      load: async () => (await import('./commands/judge.ts')).judgeCommand,
    },
    {
      name: 'rollouts',
      description: "write a run's judged rollouts as the paper's authors lay them out",
      load: async () => (await import('./commands/rollouts.ts')).rolloutsCommand,
    },
    {
      name: 'trait',
      description: 'list, check and make trait files',
      load: async () => (await import('./commands/trait.ts')).traitCommand,
    },
    {
      name: 'vector',
      description: 'show, compare, combine, import, export and verify vectors; what they are made of',
      load: async () => (await import('./commands/vector.ts')).vectorCommand,
    },
  ],
  'Steer, watch and serve': [
    {
      name: 'chat',
      description: 'talk with a model, see the traits before and during each reply, and steer it',
      load: async () => (await import('./commands/chat.ts')).chatCommand,
    },
    {
      name: 'generate',
      description: 'continue a prompt, steered or not',
      load: async () => (await import('./commands/generate.ts')).generateCommand,
    },
    {
      name: 'serve',
      description:
        "serve models in OpenAI's protocol, steered and watched request by request (see docs/server.md)",
      load: async () => (await import('./commands/serve.ts')).serveCommand,
    },
    {
      name: 'calibrate',
      description:
        'measure how ordinary conversations project on vectors: what z-scores and percentiles mean',
      load: async () => (await import('./commands/calibrate.ts')).calibrateCommand,
    },
    {
      name: 'monitor',
      description: 'project conversations on vectors, turn by turn, and tell which ones drift',
      load: async () => (await import('./commands/monitor.ts')).monitorCommand,
    },
  ],
  'Fine-tune': [
    {
      name: 'train',
      description: 'fine-tune a model as a training file says, steered away from a trait if wanted',
      load: async () => (await import('./commands/train.ts')).trainCommand,
    },
    {
      name: 'mitigate',
      description:
        'fine-tune with several treatments against a trait, and measure what each keeps out and costs',
      load: async () => (await import('./commands/mitigate.ts')).mitigateCommand,
    },
    {
      name: 'shift',
      description: 'measure how far fine-tuning has moved a model along traits, before it says a word',
      load: async () => (await import('./commands/shift.ts')).shiftCommand,
    },
    {
      name: 'capability',
      description: 'measure what a model can do by multiple-choice questions, adapted or steered if wanted',
      load: async () => (await import('./commands/capability.ts')).capabilityCommand,
    },
    {
      name: 'merge',
      description: "write a model with a LoRA adapter merged into its weights, in Hugging Face's layout",
      load: async () => (await import('./commands/merge.ts')).mergeCommand,
    },
    {
      name: 'datasets',
      description: "write data sets for fine-tuning persona-tiny, in the paper's pattern, from a seed",
      load: async () => (await import('./commands/datasets.ts')).datasetsCommand,
    },
  ],
  'Screen data': [
    {
      name: 'screen',
      description: 'find the rows of a data set that training on would move a model towards a trait',
      load: async () => (await import('./commands/screen.ts')).screenCommand,
    },
    {
      name: 'worker',
      description: 'score parts of data sets for `persona screen --queue`, until stopped',
      load: async () => (await import('./commands/worker.ts')).workerCommand,
    },
  ],
  "The paper's experiments": [
    {
      name: 'experiment',
      description: "run one of the paper's experiments on a model",
      load: async () => (await import('./commands/experiment.ts')).experimentCommand,
    },
    {
      name: 'reproduce',
      description:
        "run the paper's experiments one after the other, and set their results beside the paper's",
      load: async () => (await import('./commands/reproduce.ts')).reproduceCommand,
    },
  ],
  'Models and this machine': [
    {
      name: 'inspect',
      description: 'say what a checkpoint is: family, size, layers, tokenizer, memory',
      load: async () => (await import('./commands/inspect.ts')).inspectCommand,
    },
    {
      name: 'pull',
      description: 'download a model into the Hugging Face cache, and check it',
      load: async () => (await import('./commands/pull.ts')).pullCommand,
    },
    {
      name: 'activations',
      description: 'pool the residual stream of given texts, at every layer',
      load: async () => (await import('./commands/activations.ts')).activationsCommand,
    },
    {
      name: 'estimate',
      description: 'say what a command would take: tokens, time, memory, disk, judge calls and their cost',
      load: async () => (await import('./commands/estimate.ts')).estimateCommand,
    },
    {
      name: 'doctor',
      description: 'look at runtime, processor, memory and caches, and say what would be slow here and why',
      load: async () => (await import('./commands/doctor.ts')).doctorCommand,
    },
    {
      name: 'completion',
      description: 'print a script that completes commands and flags: source it in your shell',
      load: async () => (await import('./commands/completion.ts')).completionCommand,
    },
  ],
};

/** Commands that speak of what all others take. */
export const needsAll: readonly string[] = ['estimate', 'completion'];
