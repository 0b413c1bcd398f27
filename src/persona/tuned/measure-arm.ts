import type { LanguageModel } from '../../engine/model.ts';
import { type ArmResult, armPaths, armResultSchema } from '../../store/arm-files.ts';
import { readTextIfThere, writeJson } from '../../store/files.ts';
import { type Recipe, openFolder } from '../../store/run-folder.ts';
import type { ChoiceSet } from '../capability/choice-set.ts';
import { measureCapability } from '../capability/measure-capability.ts';
import type { JudgeSource } from '../judge.ts';
import type { Trait } from '../trait.ts';
import type { PersonaVector } from '../vector.ts';
import { type BehaviourPlan, measureBehaviour } from './behaviour.ts';
import { type PromptStates, finetuningShift, promptStates } from './shift.ts';

/** A trait to measure, with its vector where shifts are wanted. */
export interface MeasuredTrait {
  readonly trait: Trait;
  readonly vector: PersonaVector | null;
}

export interface ArmOptions {
  readonly model: LanguageModel;
  readonly folder: string;
  readonly traits: readonly MeasuredTrait[];
  readonly judges: JudgeSource;
  readonly plan: BehaviourPlan;
  /** Null measures none. */
  readonly choices: ChoiceSet | null;
  /** The untrained model's states by trait, for shifts; null measures none. */
  readonly base: ReadonlyMap<string, PromptStates> | null;
  /** All that decides the numbers, beside the code. */
  readonly recipe: Recipe;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((what: string, done: number, total: number) => void) | undefined;
}

/**
 * Measures a model whole: behaviour on every trait, capability, shifts. What an earlier call measured is only read.
 *
 * @throws StoreError where the folder holds what was measured in another way, naming what differs, or is in use.
 */
export async function measureArm(options: ArmOptions): Promise<ArmResult> {
  const run = await openFolder(options.folder, options.recipe);
  try {
    const known = await readArm(options.folder);
    if (known !== null) return known;
    const result: ArmResult = {
      behaviour: await behaviours(options),
      capability: await capabilityOf(options),
      shifts: await shiftsOf(options),
    };
    await writeJson(armPaths.result(options.folder), result);
    return result;
  } finally {
    await run.close();
  }
}

async function readArm(folder: string): Promise<ArmResult | null> {
  const text = await readTextIfThere(armPaths.result(folder));
  if (text === null) return null;
  const parsed = armResultSchema.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : null;
}

async function behaviours(options: ArmOptions): Promise<ArmResult['behaviour']> {
  const { model, judges, folder, plan, signal, onProgress } = options;
  const behaviour: ArmResult['behaviour'] = {};
  for (const { trait } of options.traits) {
    const tell = (done: number, total: number): void => onProgress?.(trait.name, done, total);
    behaviour[trait.name] = await measureBehaviour({
      model,
      trait,
      judges,
      folder,
      plan,
      signal,
      onProgress: tell,
    });
  }
  return behaviour;
}

async function capabilityOf({
  model,
  choices,
  plan,
  signal,
  onProgress,
}: ArmOptions): Promise<ArmResult['capability']> {
  if (choices === null) return null;
  const { name, all } = await measureCapability(model, choices, {
    interventions: plan.interventions ?? [],
    ...(signal === undefined ? {} : { signal }),
    onProgress: (done, total) => onProgress?.('capability', done, total),
  });
  const { questions, accuracy, wilson, bootstrap } = all;
  return { name, questions, accuracy, wilson, bootstrap };
}

async function shiftsOf({ model, traits, base, signal }: ArmOptions): Promise<ArmResult['shifts']> {
  const shifts: ArmResult['shifts'] = {};
  for (const { trait, vector } of traits) {
    const before = base?.get(trait.name);
    if (before === undefined || vector === null) continue;
    const after = await promptStates(model, trait, trait.evaluationQuestions, signal);
    shifts[trait.name] = finetuningShift(before, after, vector, trait.name);
  }
  return shifts;
}
