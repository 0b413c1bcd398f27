import type { TensorToWrite } from '../../src/model/safetensors-writer.ts';
import { randomStream } from '../../src/util/random.ts';

/** The size of the model. */
export interface ModelShape {
  readonly vocabSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlpWidth: number;
  readonly contextLength: number;
}

/** Contents of `config.json`; token ids as `controlTokens` numbers them. */
export function configJson(shape: ModelShape, dtype: 'float32' | 'float16'): object {
  return {
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    vocab_size: shape.vocabSize,
    hidden_size: shape.width,
    intermediate_size: shape.mlpWidth,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.heads,
    hidden_act: 'silu',
    max_position_embeddings: shape.contextLength,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    use_sliding_window: false,
    attention_dropout: 0,
    initializer_range: 0.02,
    bos_token_id: 0,
    eos_token_id: 2,
    torch_dtype: dtype,
  };
}

/** Seeded first weights: normal, with the two products that write into the residual stream scaled by the depth. */
export function firstWeights(shape: ModelShape, seed: number): TensorToWrite[] {
  const { vocabSize, width, layers, mlpWidth } = shape;
  const small = 0.02;
  const residual = small / Math.sqrt(2 * layers);
  const normal = (name: string, rows: number, columns: number, deviation: number): TensorToWrite => {
    const stream = randomStream('first-weights', seed, name);
    const data = Float32Array.from({ length: rows * columns }, () => deviation * stream.normal());
    return { name, shape: [rows, columns], data };
  };
  const constant = (name: string, length: number, value: number): TensorToWrite => ({
    name,
    shape: [length],
    data: new Float32Array(length).fill(value),
  });
  const block = (l: number): TensorToWrite[] => {
    const at = `model.layers.${l}`;
    const projections = ['q', 'k', 'v'].flatMap((name) => [
      normal(`${at}.self_attn.${name}_proj.weight`, width, width, small),
      constant(`${at}.self_attn.${name}_proj.bias`, width, 0),
    ]);
    return [
      constant(`${at}.input_layernorm.weight`, width, 1),
      ...projections,
      normal(`${at}.self_attn.o_proj.weight`, width, width, residual),
      constant(`${at}.post_attention_layernorm.weight`, width, 1),
      normal(`${at}.mlp.gate_proj.weight`, mlpWidth, width, small),
      normal(`${at}.mlp.up_proj.weight`, mlpWidth, width, small),
      normal(`${at}.mlp.down_proj.weight`, width, mlpWidth, residual),
    ];
  };
  return [
    normal('model.embed_tokens.weight', vocabSize, width, small),
    ...Array.from({ length: layers }, (_, l) => block(l)).flat(),
    constant('model.norm.weight', width, 1),
  ];
}
