/** Files from outside: checkpoints, adapters and safetensors, read and checked before anything runs. */

export { loadAdapter } from './adapter.ts';
export type { Adapter, LoraPair } from './adapter.ts';
export { adaptCheckpoint, loadCheckpoint } from './checkpoint.ts';
export type { Checkpoint } from './checkpoint.ts';
export { parseConfig } from './config.ts';
export type { ModelConfig, RopeScaling } from './config.ts';
export type { BiasRule, ConfigDefaults, Family, WeightNames, WindowRule } from './families/family.ts';
export { families } from './families/index.ts';
export { checkpointFingerprint } from './fingerprint.ts';
export { findModelFolder, hubCacheFolder } from './hub-cache.ts';
export type { ModelFolder } from './hub-cache.ts';
export type { Json, JsonObject } from './json-text.ts';
export { readWeight } from './read-weights.ts';
export { readSafetensorsHeader, safetensorsDtypes } from './safetensors.ts';
export type { SafetensorsDtype, SafetensorsHeader, TensorEntry } from './safetensors.ts';
export { floatTensor, readSafetensors } from './safetensors-content.ts';
export type { SafetensorsContent, Tensor } from './safetensors-content.ts';
export { safetensorsHeader, writeSafetensors } from './safetensors-writer.ts';
export type { SafetensorsOutline, TensorOutline, TensorToWrite } from './safetensors-writer.ts';
export { projections } from './weights.ts';
export type {
  BlockWeights,
  LinearWeights,
  ModelWeights,
  Projection,
  WeightDtype,
  WeightSource,
} from './weights.ts';
export { encodeChat, encodeConversation, encodePlain, encodeReply } from './chat.ts';
export { loadChatTemplate } from './chat-template.ts';
export type { ChatMessage, ChatTemplate } from './chat-template.ts';
export { loadGenerationDefaults } from './generation-config.ts';
export type { GenerationDefaults } from './generation-config.ts';
export { loadTokenizer } from './tokenizer.ts';
export type { TextTokenizer } from './tokenizer.ts';
