import { z } from 'zod';
import { mainTraits } from '../../persona/experiments/paper.ts';
import { isObject, parseStrict, readUserJson, refuseUnknownKeys } from '../../store/strict-json.ts';

const count = z.int().min(1);
const names = z.array(z.string().min(1)).min(1);
/** `all` of the model's set, the paper's three `main` ones, or by name. */
const traitChoice = z.union([z.literal('all'), z.literal('main'), names]);
const strengths = z.array(z.number().positive()).min(1);

/** The paper's treatments. */
const treatmentKinds = [
  'post_hoc',
  'preventative',
  'caft',
  'penalty',
  'preventative_prompting',
  'negative_prompt',
] as const;

/** How much of everything; a key a part. */
const settingsSchema = z.strictObject({
  /** Longest reply; null leaves each experiment its own. */
  max_tokens: count.nullable(),
  extraction: z.strictObject({
    traits: traitChoice,
    /** Rollouts of an instruction, question and pole. */
    samples: count,
    /** Of the trait's questions, from the first on; null for all. */
    questions: count.nullable(),
    /** Go on with fewer than 30 kept pairs. */
    force: z.boolean(),
    sweep_samples: count,
    /** The second pass of the sweep. */
    fine: z.boolean(),
    dose_samples: count,
    random_directions: z.int().min(2),
    random_samples: count,
  }),
  poolings: z.strictObject({ traits: traitChoice, samples: count, lengths: strengths }),
  steering: z.strictObject({ traits: traitChoice, samples: count, turns: count }),
  monitoring: z.strictObject({ traits: traitChoice, samples: count, random_directions: count }),
  finetuning: z.strictObject({
    traits: traitChoice,
    /** Null for all that there are. */
    families: names.nullable(),
    /** Of each data set of persona-tiny's world. */
    rows: z.int().min(8),
    samples: count,
    /** Questions of each subject that measure capability; null for all, 0 for none. */
    capability: z.int().min(0).nullable(),
  }),
  mitigation: z.strictObject({
    traits: traitChoice,
    samples: count,
    /** Replies to each question of the other traits; 0 measures the trait itself alone. */
    other_samples: z.int().min(0),
    /** As in finetuning. */
    capability: z.int().min(0).nullable(),
    /** Beside plain fine-tuning; null for all. */
    treatments: z.array(z.enum(treatmentKinds)).min(1).nullable(),
    /** Strengths of steering while answering, of steering in training at one layer and at all, and of the penalty. */
    post_hoc: strengths,
    preventative: strengths,
    preventative_all: strengths,
    penalty: strengths,
  }),
  screening: z.strictObject({
    traits: traitChoice,
    /** Samples of each subset that is trained on; null for as many as a data set has rows. */
    subset: count.nullable(),
    samples: count,
  }),
});
export type ReproduceSettings = z.infer<typeof settingsSchema>;

/** As in the paper, as far as it says. */
export const fullSettings: ReproduceSettings = {
  max_tokens: null,
  extraction: {
    traits: 'all',
    samples: 10,
    questions: null,
    force: false,
    sweep_samples: 3,
    fine: true,
    dose_samples: 20,
    random_directions: 20,
    random_samples: 5,
  },
  poolings: { traits: 'main', samples: 5, lengths: [0.5, 1, 1.5, 2] },
  steering: { traits: 'all', samples: 2, turns: 8 },
  monitoring: { traits: 'main', samples: 10, random_directions: 200 },
  finetuning: { traits: 'all', families: null, rows: 320, samples: 3, capability: null },
  mitigation: {
    traits: 'main',
    samples: 10,
    other_samples: 2,
    capability: null,
    treatments: null,
    post_hoc: [0.5, 1, 1.5, 2],
    preventative: [1, 1.5, 2],
    preventative_all: [0.5, 1, 1.5],
    penalty: [0.01, 0.1],
  },
  screening: { traits: 'main', subset: null, samples: 3 },
};

/** `--quick`: everything once, with as little as still says something. */
export const quickSettings: ReproduceSettings = {
  max_tokens: 96,
  extraction: {
    traits: 'all',
    samples: 1,
    questions: 10,
    force: true,
    sweep_samples: 1,
    fine: false,
    dose_samples: 2,
    random_directions: 4,
    random_samples: 1,
  },
  poolings: { traits: 'main', samples: 1, lengths: [1, 2] },
  steering: { traits: 'main', samples: 1, turns: 2 },
  monitoring: { traits: 'main', samples: 2, random_directions: 100 },
  finetuning: { traits: 'main', families: null, rows: 128, samples: 1, capability: 2 },
  mitigation: {
    traits: 'main',
    samples: 2,
    other_samples: 0,
    capability: 2,
    treatments: ['post_hoc', 'preventative', 'caft', 'negative_prompt'],
    post_hoc: [0.5, 1, 1.5],
    preventative: [1.5],
    preventative_all: [1.5],
    penalty: [0.1],
  },
  screening: { traits: 'main', subset: null, samples: 1 },
};

/** Reads a file of settings that stand in place of others; DataError naming a key or a value that cannot be. */
export async function readSettings(file: string, base: ReproduceSettings): Promise<ReproduceSettings> {
  return changeSettings(base, await readUserJson(file), JSON.stringify(file));
}

/** As `readSettings`, for a value in memory; `where` begins the sentence of an error. */
export function changeSettings(base: ReproduceSettings, change: unknown, where: string): ReproduceSettings {
  if (!isObject(change)) return parseStrict(settingsSchema, change, where);
  refuseUnknownKeys(change, Object.keys(base), where);
  const changed = Object.entries(base).map(([part, old]): [string, unknown] => {
    const value = change[part];
    if (value === undefined) return [part, old];
    if (!isObject(old) || !isObject(value)) return [part, value];
    refuseUnknownKeys(value, Object.keys(old), `${where}: "${part}"`);
    return [part, { ...old, ...value }];
  });
  return parseStrict(settingsSchema, Object.fromEntries(changed), where);
}

/** The traits of a choice out of those that the model has, in its set's order. */
export function chosenTraits(
  choice: ReproduceSettings['poolings']['traits'],
  known: readonly string[],
): string[] {
  if (choice === 'all') return [...known];
  if (choice !== 'main') return known.filter((name) => choice.includes(name));
  const main = known.filter((name) => (mainTraits as readonly string[]).includes(name));
  return main.length > 0 ? main : known.slice(0, mainTraits.length);
}
