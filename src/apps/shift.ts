import { dirname, join } from 'node:path';
import { adaptedModel } from '../engine/adapted-model.ts';
import { loadFromCheckpoint } from '../engine/load.ts';
import type { Dtype, LanguageModel } from '../engine/model.ts';
import { ModelError, UsageError } from '../errors.ts';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.ts';
import { findModelFolder } from '../model/hub-cache.ts';
import { pathKind } from '../model/read-bytes.ts';
import type { TraitNaming } from '../persona/trait-set.ts';
import { checkVectorFits, originNotes } from '../persona/projection/watch.ts';
import { type LayerShift, finetuningShift, promptStates } from '../persona/tuned/shift.ts';
import { type Trait, loadTrait, resolveTrait } from '../persona/trait.ts';
import { findVector } from '../persona/vector-folder.ts';
import { PersonaVector } from '../persona/vector.ts';
import { runFiles } from '../store/run-folder.ts';
import { defined } from '../util/defined.ts';

export interface ShiftOptions {
  /** A model folder, or `owner/name` in the local Hugging Face cache. */
  readonly base: string;
  /** A model of the same shape, or a LoRA adapter of the base. */
  readonly tuned: string;
  /** Files or run folders, or names in the folder of vectors. */
  readonly vectors: readonly string[];
  /** Which of the files' poolings; default: the one that each recommends. */
  readonly pooling?: string;
  /** Folder of vectors that are given by name; default `runs`. */
  readonly vectorFolder?: string;
  /** Set of the traits, where it is not the model's own. */
  readonly traitSet?: string;
  /** The layer of the summary; default: each vector's recommended layer, else the middle one. */
  readonly layer?: number;
  readonly dtype?: Dtype;
  readonly blockSize?: 32 | 128;
  /** Takes lines that a user should see. */
  readonly onNotice?: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** The shift along one trait's vector. */
export interface TraitShift {
  readonly trait: string;
  readonly vector: string;
  readonly prompts: number;
  readonly layers: readonly LayerShift[];
  /** At the layer of the summary. */
  readonly chosen: LayerShift;
}

export interface ShiftResult {
  readonly base: string;
  readonly tuned: string;
  readonly traits: readonly TraitShift[];
}

/**
 * How far fine-tuning has moved a model along the vectors of traits, before it says a word: the finetuning shift at every
 * layer, over each trait's evaluation questions without any instruction, with bootstrap intervals over the questions.
 *
 * @throws UsageError or ModelError for models that do not belong together, vectors that do not fit, and traits without
 *   evaluation questions, before any weight is loaded.
 */
export async function shift(options: ShiftOptions): Promise<ShiftResult> {
  const checkpoint = await loadCheckpoint(options.base);
  const tuned = await openTuned(options.tuned, checkpoint);
  const measured = await measuredTraits(options, checkpoint);
  const { dtype, blockSize, onNotice, signal } = options;
  const loading = { purpose: 'one-pass' as const, ...defined({ dtype, blockSize, onNotice }) };
  const states = async (model: LanguageModel): Promise<Float32Array[][]> => {
    const all: Float32Array[][] = [];
    for (const { trait, questions } of measured)
      all.push([...(await promptStates(model, trait, questions, signal))]);
    return all;
  };
  const base = await loadFromCheckpoint(checkpoint, loading);
  let [before, after, name] = [[] as Float32Array[][], null as Float32Array[][] | null, ''];
  try {
    before = await states(base);
    if (tuned.kind === 'adapter') {
      const model = await adaptedModel(base, options.tuned);
      [after, name] = [await states(model), model.checkpoint.id];
    }
  } finally {
    await base.close();
  }
  if (tuned.kind === 'model') {
    const model = await loadFromCheckpoint(tuned.checkpoint, loading);
    try {
      [after, name] = [await states(model), tuned.checkpoint.id];
    } finally {
      await model.close();
    }
  }
  return {
    base: checkpoint.id,
    tuned: name,
    traits: measured.map(({ trait, vector, file, questions }, i): TraitShift => {
      const layers = finetuningShift(before[i]!, after![i]!, vector, trait.name);
      return {
        trait: trait.name,
        vector: file,
        prompts: questions.length,
        layers,
        chosen: chosenLayer(layers, options.layer ?? vector.metadata.recommendedLayer, file),
      };
    }),
  };
}

type Tuned = { readonly kind: 'adapter' } | { readonly kind: 'model'; readonly checkpoint: Checkpoint };

/** Whether it is an adapter or a model; a model has to be of the base's shape. */
async function openTuned(path: string, base: Checkpoint): Promise<Tuned> {
  const { folder, file } = await findModelFolder(path);
  if (file === null && (await pathKind(join(folder, 'adapter_config.json'))) === 'file')
    return { kind: 'adapter' };
  const checkpoint = await loadCheckpoint(path);
  const { layers, width } = checkpoint.config;
  if (layers === base.config.layers && width === base.config.width) return { kind: 'model', checkpoint };
  throw new ModelError(
    `Expected "${path}" to have ${base.config.layers} layers of width ${base.config.width} like "${base.id}", got ${layers} of width ${width}; only models of one shape can be compared.`,
    { details: { model: path } },
  );
}

interface MeasuredTrait {
  readonly trait: Trait;
  readonly vector: PersonaVector;
  readonly file: string;
  readonly questions: readonly string[];
}

async function measuredTraits(
  { vectors, pooling, vectorFolder, traitSet, layer, onNotice }: ShiftOptions,
  checkpoint: Checkpoint,
): Promise<MeasuredTrait[]> {
  if (vectors.length === 0) throw new UsageError('Expected at least one vector to project on, got none.');
  const measured: MeasuredTrait[] = [];
  for (const file of vectors) {
    const path = await findVector(file, vectorFolder);
    const vector = await PersonaVector.load(path, pooling);
    checkVectorFits(vector, checkpoint, JSON.stringify(file));
    const trait = await traitOfVector(path, vector, { set: traitSet, modelFolder: checkpoint.folder });
    if (layer !== undefined && (layer < 1 || layer > vector.layers || vector.norm(layer) === 0))
      throw noDirection(layer, file);
    const questions = trait.evaluationQuestions.length > 0 ? trait.evaluationQuestions : trait.questions;
    measured.push({ trait, vector, file, questions });
  }
  const origins = measured.map(({ vector: { metadata } }) => ({
    name: metadata.trait,
    model: metadata.model,
  }));
  for (const note of originNotes(origins, checkpoint.id)) onNotice?.(note);
  return measured;
}

/** The trait that the vector was extracted with lies beside it in its run folder; else its name says which one it is. */
async function traitOfVector(path: string, vector: PersonaVector, naming: TraitNaming): Promise<Trait> {
  const beside = join(dirname(path), runFiles.trait);
  if ((await pathKind(beside)) === 'file') return loadTrait(beside);
  return resolveTrait(vector.metadata.trait, naming);
}

function chosenLayer(layers: readonly LayerShift[], wanted: number | null, file: string): LayerShift {
  if (wanted !== null) {
    const found = layers.find(({ layer }) => layer === wanted);
    if (found !== undefined) return found;
    throw noDirection(wanted, file);
  }
  // Directions of traits are best about half-way through the models that were looked at.
  const middle = layers[Math.floor((layers.length - 1) / 2)];
  if (middle !== undefined) return middle;
  throw new UsageError(`Expected a direction at some layer of "${file}", got zeros only.`, {
    details: { file },
  });
}

function noDirection(layer: number, file: string): UsageError {
  return new UsageError(`Expected a direction at layer ${layer} of "${file}", got none.`, {
    details: { file, layer },
  });
}
