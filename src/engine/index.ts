/** The engine: a checkpoint on ONNX Runtime, with taps, interventions and adapters as arguments of a call. */
export { adaptedModel } from './adapted-model.ts';
export { loadFromCheckpoint, loadModel } from './load.ts';
export { dtypes } from './model.ts';
export { devices } from './device-name.ts';
export type { Device } from './device-name.ts';
export type { Dtype, LanguageModel, LoadModelOptions, LoadOptions } from './model.ts';
export type {
  AblateIntervention,
  AddIntervention,
  ContinuationsOptions,
  ContinuationsRow,
  ContinuationsScored,
  ClampIntervention,
  Condition,
  FinishReason,
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
  Probe,
  ReplyRange,
  TokenEvent,
  TokenLogprobs,
} from './types.ts';
export { poolings } from './types.ts';
export { planInterventions } from './interventions.ts';
export type { Edit, Gate, InterventionPlan } from './interventions.ts';
