/**
 * The front door for programs: what the commands do, and what they are made of. The parts below have doors of their
 * own: `persona-vectors/model`, `/graph`, `/engine`, `/training` and `/persona`.
 */

export { activations } from './apps/activations.ts';
export type { ActivationsOptions, ActivationsResult } from './apps/activations.ts';
export { capability } from './apps/capability.ts';
export type { CapabilityOptions, CapabilityResult } from './apps/capability.ts';
export { writeDataSets } from './apps/data-sets.ts';
export type { WrittenDataSet } from './apps/data-sets.ts';
export { generate } from './apps/generate.ts';
export type { GeneratedText, GenerateInput, GenerateTextOptions } from './apps/generate.ts';
export { shift } from './apps/shift.ts';
export type { ShiftOptions, ShiftResult, TraitShift } from './apps/shift.ts';
export { inspect } from './apps/inspect.ts';
export type { ModelFacts } from './apps/inspect.ts';
export { calibrateBaseline } from './apps/calibrate-baseline.ts';
export type { CalibrateOptions } from './apps/calibrate-baseline.ts';
export { ChatSession } from './apps/chat/session.ts';
export type { ChatReply, ChatSettings, OnReply } from './apps/chat/session.ts';
export { monitor } from './apps/monitor.ts';
export type { MonitorOptions, MonitorResult } from './apps/monitor.ts';
export { defaultDriftRule, drift } from './apps/monitor-drift.ts';
export type { DriftRule, DriftState } from './apps/monitor-drift.ts';
export { readTranscripts } from './apps/transcripts.ts';
export type { ReadTranscriptsOptions, Transcript } from './apps/transcripts.ts';
export { extractAll } from './apps/extract-all.ts';
export type { ExtractAllOptions, TraitOutcome } from './apps/extract-all.ts';
export { exportRollouts } from './apps/export-rollouts.ts';
export type { ExportRolloutsOptions } from './apps/export-rollouts.ts';
export type { Estimate, FoundRate } from './apps/estimate.ts';
export { estimateActivations } from './apps/estimate-activations.ts';
export type { EstimateActivationsOptions } from './apps/estimate-activations.ts';
export { estimateCapability } from './apps/estimate-capability.ts';
export type { EstimateCapabilityOptions } from './apps/estimate-capability.ts';
export { estimateExtract } from './apps/estimate-extract.ts';
export type { EstimateExtractOptions } from './apps/estimate-extract.ts';
export { estimateGenerate } from './apps/estimate-generate.ts';
export type { EstimateGenerateOptions } from './apps/estimate-generate.ts';
export { estimatePull } from './apps/estimate-pull.ts';
export type { RateOptions } from './apps/estimate-rate.ts';
export { doctor } from './apps/doctor.ts';
export type { DoctorReport } from './apps/doctor.ts';
export { compareVectors, cosineMatrix } from './apps/compare-vectors.ts';
export type { LayerComparison, VectorComparison } from './apps/compare-vectors.ts';
export { exportVector } from './apps/vector-files.ts';
export type { ExportedVector, ExportFormat, ExportOptions } from './apps/vector-files.ts';
export { mitigate } from './apps/mitigate/mitigate.ts';
export type { MitigateOptions, MitigateResult } from './apps/mitigate/mitigate.ts';
export { parseMitigateConfig, readMitigateConfig } from './apps/mitigate/config.ts';
export type { MitigateConfig } from './apps/mitigate/config.ts';
export { reproduce } from './apps/reproduce/reproduce.ts';
export type { ReproduceOptions } from './apps/reproduce/reproduce.ts';
export type { PartOutcome, Reproduction } from './apps/reproduce/outcome.ts';
export type { Comparison } from './apps/reproduce/compare.ts';
export { judgeRun } from './apps/judge-run.ts';
export type { JudgedRun, JudgeRunOptions } from './apps/judge-run.ts';
export { screen } from './apps/screen/screen.ts';
export type { ScreenOptions, ScreenResult } from './apps/screen/screen.ts';
export { screeningExperiment } from './apps/screen/experiment.ts';
export type { ScreeningExperimentOptions, ScreeningExperimentResult } from './apps/screen/experiment.ts';
export { validateRun } from './apps/validate-run.ts';
export type { ValidatedRun, ValidateRunOptions } from './apps/validate-run.ts';
export { pull } from './apps/pull.ts';
export type { PulledModel, PullOptions } from './apps/pull.ts';
export { adaptedModel } from './engine/adapted-model.ts';
export { loadFromCheckpoint, loadModel } from './engine/load.ts';
export type { LanguageModel, LoadModelOptions, LoadOptions } from './engine/model.ts';
export { poolings } from './engine/types.ts';
export type {
  AblateIntervention,
  AddIntervention,
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
} from './engine/types.ts';
export {
  AbortError,
  DataError,
  EngineError,
  GraphError,
  ModelError,
  ParseError,
  PersonaError,
  StoreError,
  UsageError,
} from './errors.ts';
export type { ErrorDetails, PersonaErrorOptions } from './errors.ts';
export { loadAdapter } from './model/adapter.ts';
export type { Adapter } from './model/adapter.ts';
export { encodeChat, encodeConversation } from './model/chat.ts';
export type { ChatMessage, ChatTemplate } from './model/chat-template.ts';
export { adaptCheckpoint, loadCheckpoint } from './model/checkpoint.ts';
export type { Checkpoint } from './model/checkpoint.ts';
export type { ModelConfig } from './model/config.ts';
export type { TextTokenizer } from './model/tokenizer.ts';
export { extract } from './persona/extract.ts';
export type { ExtractResult } from './persona/extract.ts';
export type { DoseOptions, ExtractOptions, SweepOptions } from './persona/extract-options.ts';
export type { ExtractEvent, ExtractStep } from './persona/progress.ts';
export { openJudge } from './persona/judges/open-judge.ts';
export type { OpenJudgeOptions } from './persona/judges/open-judge.ts';
export type { JudgeProvider, JudgeSource } from './persona/judge.ts';
export { loadTrait, parseTrait, resolveTrait } from './persona/trait.ts';
export type { Trait, TraitFile } from './persona/trait.ts';
export { baselineOf, calibrated, distributionOf, valueAt } from './persona/projection/baseline.ts';
export type { Calibrated } from './persona/projection/baseline.ts';
export { finetuningExperiment } from './persona/experiments/finetuning.ts';
export type { FinetuningOptions, FinetuningResult } from './persona/experiments/finetuning.ts';
export { monitoringExperiment } from './persona/experiments/monitoring.ts';
export type { MonitoringExperiment, MonitoringOptions } from './persona/experiments/monitoring.ts';
export { steeringExperiment } from './persona/experiments/steering.ts';
export type { SteeringExperiment, SteeringExperimentOptions } from './persona/experiments/steering.ts';
export type { Correlation, MethodResult, MonitoringPoint } from './persona/experiments/monitoring-results.ts';
export { projectRows } from './persona/projection/project.ts';
export type { ProjectedRow, ProjectOptions, TurnProjection } from './persona/projection/project.ts';
export { encodeConversationRow, toProjectionRow } from './persona/projection/rows.ts';
export type { DecidedAt, ProjectionRow, TurnSpan } from './persona/projection/rows.ts';
export { originNotes, watch, watchVectors } from './persona/projection/watch.ts';
export type { Watched, WatchOptions } from './persona/projection/watch.ts';
export { crossTraitReport } from './persona/steering/cross-trait.ts';
export type { CrossTrait } from './persona/steering/cross-trait.ts';
export { resolveSteering } from './persona/steering/resolve.ts';
export type { Addition, ResolvedSteering, ResolveOptions } from './persona/steering/resolve.ts';
export { parseSteering, readSteering } from './persona/steering/spec.ts';
export type {
  AblateEntry,
  AddEntry,
  ClampEntry,
  SteeringCondition,
  SteeringEntry,
  SteeringSpec,
  Threshold,
  VectorReference,
} from './persona/steering/spec.ts';
export { findVector, loadVector, vectorNames } from './persona/vector-folder.ts';
export { PersonaVector } from './persona/vector.ts';
export type { VectorMetadata } from './persona/vector.ts';
export { vectorFromActivations } from './persona/vector-from-activations.ts';
export type {
  ActivationLayout,
  ActivationsSource,
  FromActivationsOptions,
} from './persona/vector-from-activations.ts';
export { readBaseline, writeBaseline } from './store/baseline-file.ts';
export type { Baseline, BaselineVector, CalibratedPlace, Distribution } from './store/baseline-file.ts';
export type { ImportOptions } from './store/vector-import.ts';
export type { MonitorAlert, MonitorRow, Reading } from './store/monitor-rows.ts';
export { parseTrainConfig, readTrainConfig } from './training/config.ts';
export type { TrainConfig } from './training/config.ts';
export { mergeAdapter } from './training/merge-adapter.ts';
export type { MergeOptions, MergeResult } from './training/merge-adapter.ts';
export type { TrainEvent } from './training/progress.ts';
export { train } from './training/train.ts';
export type { TrainOptions, TrainResult } from './training/train.ts';
