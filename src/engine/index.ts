/** The engine: a checkpoint on ONNX Runtime, with taps, interventions and adapters as arguments of a call. */
export { loadFromCheckpoint, loadModel } from './load.ts';
export type { LanguageModel, LoadOptions } from './model.ts';
export type {
  AblateIntervention,
  AddIntervention,
  ClampIntervention,
  ForwardOptions,
  ForwardResult,
  ForwardRow,
  Generated,
  GenerateOptions,
  GenerateRow,
  Intervention,
  Pooled,
  Pooling,
  Positions,
} from './types.ts';
export { poolings } from './types.ts';
export { planInterventions } from './interventions.ts';
export type { Edit, InterventionPlan } from './interventions.ts';
