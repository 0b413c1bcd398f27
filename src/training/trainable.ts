import { Tensor } from 'onnxruntime-node';
import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../graph/types.ts';
import type { Projection } from '../model/weights.ts';
import type { Adapt } from './forward-graph.ts';
import type { NamedTensor } from './types.ts';

/** A trained tensor; `data` is the one place where its numbers lie, changed by the optimiser between two runs. */
export interface Parameter extends NamedTensor {
  /** Whether weight decay acts on it. */
  readonly decays: boolean;
}

/** How a forward pass uses the trained tensors. */
export interface TrainedParts {
  /** Tensor name of the checkpoint → the value that stands for it. */
  readonly given: ReadonlyMap<string, Value>;
  readonly adapt: Adapt;
}

/** What is trained: a set of tensors, their part in the forward pass, and their files. */
export interface Trainable {
  readonly parameters: readonly Parameter[];
  /** `values`: parameter name → graph input; dropout in training only. */
  parts(g: GraphBuilder, values: ReadonlyMap<string, Value>, dropout: Dropout | null): TrainedParts;
  save(folder: string): Promise<void>;
}

/** Which numbers of a LoRA product's input are kept. */
export interface Dropout {
  /** Share of the numbers that are kept. */
  readonly keep: number;
  /** 1 where a number of `x` is kept, 0 elsewhere. */
  mask(block: number, projection: Projection, x: Value): Value;
}

/** Graph inputs for the parameters, by parameter name. */
export function parameterInputs(g: GraphBuilder, parameters: readonly Parameter[]): Map<string, Value> {
  return new Map(parameters.map(({ name, shape }) => [name, g.input(parameterInput(name), 'f32', shape)]));
}

export function parameterInput(name: string): string {
  return `parameter/${name}`;
}

/** Feeds of the parameters' numbers as they are now. */
export function parameterFeeds(parameters: readonly Parameter[]): Record<string, Tensor> {
  return Object.fromEntries(
    parameters.map(({ name, shape, data }) => [parameterInput(name), new Tensor('float32', data, shape)]),
  );
}
