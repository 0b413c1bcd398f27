/** What the server takes: the one place of its request schemas, from which validation, OpenAPI text and types come. */

import { z } from '@hono/zod-openapi';
import { poolings } from '../engine/types.ts';

/** Nothing, as clients send it. */
const absent = z.union([z.null(), z.array(z.unknown()).max(0), z.strictObject({})]).exactOptional();

/** Beside a text, an answer that is sent back has fields that say that there is nothing else. */
const message = z
  .strictObject({
    role: z.enum(['system', 'developer', 'user', 'assistant']),
    content: z.union([z.string(), z.array(z.strictObject({ type: z.literal('text'), text: z.string() }))]),
    refusal: absent,
    annotations: absent,
    audio: absent,
    function_call: absent,
    tool_calls: absent,
  })
  .openapi('Message');

/** A steering spec as `parseSteering` reads it: the list, or the object with it. */
const steer = z
  .union([z.array(z.record(z.string(), z.unknown())).max(64), z.record(z.string(), z.unknown())])
  .openapi({ description: 'A steering spec; see docs/steering.md. Vectors are named, or given as numbers.' });

const watch = z
  .union([
    z.array(z.string()).min(1).max(16),
    z.strictObject({
      vectors: z.array(z.string()).min(1).max(16),
      layer: z.int().min(1).exactOptional(),
      pooling: z.string().exactOptional(),
      tokens: z.boolean().exactOptional(),
    }),
  ])
  .openapi({
    description: 'Names of vectors whose projections are wanted; with `tokens` those of every token.',
  });

export const personaField = z
  .strictObject({
    steer: steer.exactOptional(),
    watch: watch.exactOptional(),
    conversation: z
      .string()
      .min(1)
      .max(200)
      .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'expected no control characters and no halves of characters')
      .exactOptional()
      .openapi({
        description: 'Which conversation this is a turn of; otherwise it is known by its messages',
      }),
  })
  .openapi('Persona');
export type PersonaField = z.infer<typeof personaField>;

const sampling = {
  model: z.string().min(1),
  max_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).max(100).nullish(),
  n: z.int().min(1).max(128).nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().exactOptional(),
      include_obfuscation: z.boolean().exactOptional(),
    })
    .nullish(),
  user: z.string().nullish(),
  persona: personaField.exactOptional(),
};

/** Accepted where they change nothing, so that clients which always send them work; refused where they would. */
const neutral = {
  frequency_penalty: z.literal(0).nullish(),
  presence_penalty: z.literal(0).nullish(),
  logit_bias: absent,
};

export const chatRequest = z
  .strictObject({
    ...sampling,
    ...neutral,
    messages: z.array(message).min(1).max(4096),
    max_completion_tokens: z.int().min(1).nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    response_format: z.strictObject({ type: z.literal('text') }).nullish(),
    modalities: z.tuple([z.literal('text')]).nullish(),
    store: z.literal(false).nullish(),
    metadata: z.record(z.string(), z.string()).nullish(),
    service_tier: z.enum(['auto', 'default']).nullish(),
    safety_identifier: z.string().nullish(),
    prompt_cache_key: z.string().nullish(),
    tools: absent,
    tool_choice: z.literal('none').nullish(),
    parallel_tool_calls: z.boolean().nullish(),
  })
  .openapi('ChatCompletionRequest');
export type ChatRequest = z.infer<typeof chatRequest>;

const promptIds = z.array(z.int().min(0)).min(1);
export const completionRequest = z
  .strictObject({
    ...sampling,
    ...neutral,
    prompt: z.union([
      z.string(),
      z.array(z.string()).min(1).max(128),
      promptIds,
      z.array(promptIds).min(1).max(128),
    ]),
    logprobs: z.int().min(0).max(20).nullish(),
    echo: z.literal(false).nullish(),
    best_of: z.literal(1).nullish(),
    suffix: z.null().exactOptional(),
  })
  .openapi('CompletionRequest');
export type CompletionRequest = z.infer<typeof completionRequest>;

const activationRow = z.union([
  z.strictObject({ ids: promptIds, response_start: z.int().min(0).exactOptional() }),
  z.strictObject({ messages: z.array(message).min(1) }),
  z.strictObject({ prompt: z.string(), answer: z.string() }),
]);
export const activationsRequest = z
  .strictObject({
    model: z.string().min(1),
    input: z.array(activationRow).min(1).max(256),
    pool: z.array(z.enum(poolings)).min(1).exactOptional(),
    layers: z.array(z.int().min(0)).min(1).exactOptional(),
    encoding_format: z.enum(['float', 'base64']).exactOptional(),
  })
  .openapi('ActivationsRequest');
export type ActivationsRequest = z.infer<typeof activationsRequest>;

export const errorBody = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .openapi('Error');
export type ErrorBody = z.infer<typeof errorBody>;
const usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
});

/** Of one reply: before it, its mean, and where asked for at every token that was fed. */
const projection = z.object({
  layer: z.int(),
  before: z.number(),
  mean: z.number().nullable(),
  tokens: z.array(z.number()).exactOptional(),
});
/** Where a reply is kept, for servers that keep them. */
const turnPlace = z.object({ conversation: z.string(), index: z.int() });
const replyPersona = z
  .object({ projections: z.record(z.string(), projection), turn: turnPlace.exactOptional() })
  .openapi('ReplyPersona');
export type ReplyPersona = z.infer<typeof replyPersona>;
/** In the last chunk of a choice its projections; in those before it, where tokens are watched, what each was drawn from. */
const chunkPersona = z.object({
  drawn_from: z.record(z.string(), z.number()).exactOptional(),
  projections: replyPersona.shape.projections.exactOptional(),
  turn: turnPlace.exactOptional(),
  notes: z.array(z.string()).exactOptional(),
});
export type ChunkPersona = z.infer<typeof chunkPersona>;

const tokenLogprob = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()).nullable(),
});
const chatLogprobs = z.object({
  content: z.array(tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob) })),
  refusal: z.null(),
});
export type ChatLogprobs = z.infer<typeof chatLogprobs>;
export type TokenLogprob = z.infer<typeof tokenLogprob>;
const finish = z.enum(['stop', 'length']);

export const chatCompletion = z
  .object({
    id: z.string(),
    object: z.literal('chat.completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
        finish_reason: finish,
        logprobs: chatLogprobs.nullable(),
        persona: replyPersona.exactOptional(),
      }),
    ),
    usage,
    persona: z.object({ notes: z.array(z.string()) }).exactOptional(),
  })
  .openapi('ChatCompletion');
export type ChatCompletion = z.infer<typeof chatCompletion>;

export const chatChunk = z
  .object({
    id: z.string(),
    object: z.literal('chat.completion.chunk'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        delta: z.object({
          role: z.literal('assistant').exactOptional(),
          content: z.string().exactOptional(),
        }),
        finish_reason: finish.nullable(),
        logprobs: chatLogprobs.nullable(),
        persona: chunkPersona.exactOptional(),
      }),
    ),
    usage: usage.exactOptional(),
  })
  .openapi('ChatCompletionChunk');
export type ChatChunk = z.infer<typeof chatChunk>;

const completionLogprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number()),
  top_logprobs: z.array(z.record(z.string(), z.number())),
  text_offset: z.array(z.int()),
});
export type CompletionLogprobs = z.infer<typeof completionLogprobs>;
export const completion = z
  .object({
    id: z.string(),
    object: z.literal('text_completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        text: z.string(),
        finish_reason: finish,
        logprobs: completionLogprobs.nullable(),
        persona: replyPersona.exactOptional(),
      }),
    ),
    usage,
    persona: z.object({ notes: z.array(z.string()) }).exactOptional(),
  })
  .openapi('Completion');
export type Completion = z.infer<typeof completion>;

export const completionChunk = z
  .object({
    id: z.string(),
    object: z.literal('text_completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        text: z.string(),
        finish_reason: finish.nullable(),
        logprobs: completionLogprobs.nullable(),
        persona: chunkPersona.exactOptional(),
      }),
    ),
    usage: usage.exactOptional(),
  })
  .openapi('CompletionChunk');
export type CompletionChunk = z.infer<typeof completionChunk>;

export const modelList = z
  .object({
    object: z.literal('list'),
    data: z.array(
      z.object({
        id: z.string(),
        object: z.literal('model'),
        created: z.int(),
        owned_by: z.string(),
        parent: z.string().nullable().openapi({
          description: 'Of a model with an adapter, the one without it that is served beside it',
        }),
      }),
    ),
  })
  .openapi('ModelList');
export type ModelList = z.infer<typeof modelList>;

export const vectorFacts = z
  .object({
    name: z.string(),
    trait: z.string(),
    model: z.string(),
    layers: z.int(),
    width: z.int(),
    pooling: z.string(),
    recommended_layer: z.int().nullable(),
    recommended_strength: z.number().nullable().openapi({ description: 'Coefficient of the raw vector' }),
    notes: z.array(z.string()).exactOptional(),
  })
  .openapi('Vector');
export type VectorFacts = z.infer<typeof vectorFacts>;
export const vectorList = z.object({ vectors: z.array(vectorFacts) }).openapi('VectorList');
export const deletedVector = z.object({ name: z.string(), deleted: z.literal(true) });

export const activationsResult = z
  .object({
    model: z.string(),
    shape: z.array(z.int()).openapi({ description: '[layers, width] of every activation' }),
    layers: z.array(z.int()),
    data: z.array(
      z.object({
        index: z.int(),
        pooled: z.record(z.string(), z.union([z.string(), z.array(z.number())])),
      }),
    ),
    usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
  })
  .openapi('Activations');
export type ActivationsResult = z.infer<typeof activationsResult>;

export const capabilities = z
  .object({
    version: z.string(),
    models: z.array(
      z.object({
        id: z.string(),
        layers: z.int(),
        width: z.int(),
        context: z.int(),
        precision: z.string(),
        adapter: z.object({ name: z.string(), sha256: z.string() }).nullable(),
        chat: z.boolean(),
      }),
    ),
    steering: z.object({ positions: z.array(z.string()), forms: z.array(z.string()) }),
    poolings: z.array(z.string()),
    vectors: z.array(z.string()),
    limits: z.record(z.string(), z.number().nullable()),
  })
  .openapi('Capabilities');
export type Capabilities = z.infer<typeof capabilities>;
