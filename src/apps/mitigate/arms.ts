import type { Positions } from '../../engine/types.ts';
import type { SteeringEntry } from '../../persona/steering/spec.ts';
import type { Treatment } from './config.ts';

/** How the training rows are changed. */
export type RowChange = 'none' | 'one_prompt' | 'drawn_prompts';
/** What stands in the system prompt while a model answers. */
export type AnswerPrompt = 'none' | 'negative' | 'inoculation';

/** A training of the experiment; arms of the same name share it. */
export interface PlannedTraining {
  readonly name: string;
  /** Beside the configuration's own keys of a training file. */
  readonly keys: Readonly<Record<string, unknown>>;
  readonly rows: RowChange;
}

/** A model in the state in which it is measured. */
export interface PlannedArm {
  readonly name: string;
  /** Arms of one treatment differ by their strength. */
  readonly treatment: string;
  readonly strength: number | null;
  /** Null measures the untrained model. */
  readonly training: PlannedTraining | null;
  readonly steering: readonly SteeringEntry[];
  readonly prompt: AnswerPrompt;
  /** Whether it shows what a treatment leaves behind, rather than being one. */
  readonly probe: boolean;
}

export interface ArmScene {
  /** Path of the vector's file. */
  readonly vector: string;
  readonly pooling: string | undefined;
  readonly layer: number;
  readonly trainPositions: Positions;
  readonly answerPositions: Positions;
  readonly inoculation: string;
}

const plain: PlannedTraining = { name: 'plain', keys: {}, rows: 'none' };

/** The untrained model, and every treatment at every strength. */
export function planArms(treatments: readonly Treatment[], scene: ArmScene): PlannedArm[] {
  const base = arm('base', 'untrained', null, null);
  return [base, ...treatments.flatMap((treatment) => armsOf(treatment, scene))];
}

function armsOf(treatment: Treatment, scene: ArmScene): PlannedArm[] {
  const { kind } = treatment;
  switch (kind) {
    case 'none':
      return [arm('plain', 'plain fine-tuning', null, plain)];
    case 'negative_prompt':
      return [{ ...arm(kind, 'prompt against the trait', null, plain), prompt: 'negative' }];
    case 'post_hoc':
      return treatment.coefs.map((coef) => postHoc(treatment, coef, scene));
    case 'preventative':
    case 'opposed':
      return treatment.coefs.map((coef) => steeredTraining(treatment, coef, scene));
    case 'caft':
      return [
        trained(`${kind}-${treatment.layers}`, `CAFT, ${where(treatment)}`, null, {
          steering: [{ ...trainTarget(treatment.layers, scene), ablate: true }],
        }),
      ];
    case 'penalty':
      return treatment.weights.map((weight) => {
        const chosen = treatment.layers === 'all' ? 'all' : [scene.layer];
        const penalty = { weight, ...target(scene), layers: chosen };
        return trained(
          `${kind}-${treatment.layers}-${weight}`,
          `projection penalty, ${where(treatment)}`,
          weight,
          { penalty },
        );
      });
    case 'kl':
      return treatment.weights.map((weight) =>
        trained(`${kind}-${weight}`, 'KL to the untrained model', weight, { kl: weight }),
      );
    case 'inoculation': {
      const one = trained(kind, 'inoculation', null, {}, 'one_prompt');
      return [
        one,
        {
          ...one,
          name: `${kind}-prompted`,
          treatment: 'inoculation, with its prompt again',
          prompt: 'inoculation',
          probe: true,
        },
      ];
    }
    case 'preventative_prompting':
      return [trained(kind, 'preventative prompting', null, {}, 'drawn_prompts')];
    default:
      return kind satisfies never;
  }
}

type Steered = Extract<Treatment, { kind: 'post_hoc' | 'preventative' | 'opposed' }>;

function postHoc({ kind, layers }: Steered, coef: number, scene: ArmScene): PlannedArm {
  const layer = layers === 'all' ? ('all' as const) : scene.layer;
  const entry = { ...target(scene), layer, coef: -coef, positions: scene.answerPositions };
  const label = `post-hoc steering, ${where({ layers })}`;
  return { ...arm(`${kind}-${layers}-${coef}`, label, coef, plain), steering: [entry] };
}

function steeredTraining({ kind, layers }: Steered, coef: number, scene: ArmScene): PlannedArm {
  const opposed = kind === 'opposed';
  const label = opposed ? 'steering away in training' : 'preventative steering';
  const entry = { ...trainTarget(layers, scene), coef: opposed ? -coef : coef };
  const steering = [layers === 'all' ? { ...entry, incremental: true } : entry];
  return trained(`${kind}-${layers}-${coef}`, `${label}, ${where({ layers })}`, coef, { steering });
}

function arm(
  name: string,
  treatment: string,
  strength: number | null,
  training: PlannedTraining | null,
): PlannedArm {
  return { name, treatment, strength, training, steering: [], prompt: 'none', probe: false };
}

function trained(
  name: string,
  treatment: string,
  strength: number | null,
  keys: PlannedTraining['keys'],
  rows: RowChange = 'none',
): PlannedArm {
  return arm(name, treatment, strength, { name, keys, rows });
}

function where({ layers }: { readonly layers: 'one' | 'all' }): string {
  return layers === 'one' ? 'one layer' : 'all layers';
}

function target({ vector, pooling }: ArmScene): { vector: string; pooling?: string } {
  return { vector, ...(pooling === undefined ? {} : { pooling }) };
}

function trainTarget(layers: 'one' | 'all', scene: ArmScene) {
  const place = layers === 'all' ? { layers: 'all' as const } : { layer: scene.layer };
  return { ...target(scene), ...place, positions: scene.trainPositions };
}
