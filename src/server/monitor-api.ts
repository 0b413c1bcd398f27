/** What the monitoring routes take and give, beside `api.ts`. Times are ISO 8601 in UTC. */

import { z } from '@hono/zod-openapi';

const time = z.iso.datetime();
const since = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()], 'expected a day or a time in ISO 8601')
  .openapi({ description: 'Only what is as new as this' });
const paging = {
  limit: z.coerce.number().int().min(1).max(500).exactOptional().openapi({ description: 'Default 50' }),
  cursor: z.string().max(400).exactOptional().openapi({ description: '`next_cursor` of the page before' }),
};
const filters = {
  model: z.string().min(1).exactOptional(),
  vector: z.string().min(1).exactOptional(),
  since: since.exactOptional(),
};
/** A page of a list, newest first. */
const page = <Item extends z.ZodType>(item: Item) =>
  z.object({ data: z.array(item), next_cursor: z.string().nullable() });

export const conversationQuery = z.strictObject({
  ...paging,
  ...filters,
  alerted: z.enum(['true', 'false']).exactOptional(),
  q: z.string().min(1).max(200).exactOptional().openapi({ description: 'Part of an id or of a key’s name' }),
});
export type ConversationQuery = z.infer<typeof conversationQuery>;
export const alertQuery = z.strictObject({ ...paging, ...filters });
export type AlertQuery = z.infer<typeof alertQuery>;
export const summaryQuery = z.strictObject({ since: since.exactOptional() });
export type SummaryQuery = z.infer<typeof summaryQuery>;

const byVector = z.record(z.string(), z.number());
export const conversationItem = z
  .object({
    id: z.string(),
    model: z.string(),
    key: z.string().nullable().openapi({ description: 'Name of the API key' }),
    started: time,
    updated: time,
    turns: z.int(),
    alerts: z.int(),
    last: byVector.openapi({ description: 'Mean projection of the last reply, by vector' }),
    peak_z: byVector.openapi({ description: 'Highest z of a reply, by vector that has a baseline' }),
  })
  .openapi('Conversation');
export type ConversationItem = z.infer<typeof conversationItem>;
export const conversationPage = page(conversationItem).openapi('ConversationPage');
export type ConversationPage = z.infer<typeof conversationPage>;

const turnProjection = z.object({
  layer: z.int(),
  before: z.number(),
  mean: z.number().nullable(),
  z: z.number().nullable().openapi({ description: 'Of the mean; null without a baseline' }),
  percentile: z.number().nullable(),
  tokens: z.array(z.number()).exactOptional(),
});
export const turnItem = z
  .object({
    index: z.int().openapi({ description: 'From 1, in the order in which they came' }),
    parent: z.int().nullable().openapi({
      description:
        'The turn whose history it goes on from; two turns have the same one where a reply was asked for again',
    }),
    time,
    role_text: z.object({ user: z.string(), assistant: z.string() }).nullable(),
    projections: z.record(z.string(), turnProjection),
    texts: z.array(z.string()).exactOptional().openapi({ description: 'Of the tokens, where text is kept' }),
    alerts: z.array(z.string()),
  })
  .openapi('Turn');
export type TurnItem = z.infer<typeof turnItem>;
export const conversationDetail = conversationItem
  .pick({ id: true, model: true, key: true })
  .extend({ turns: z.array(turnItem), next_cursor: z.string().nullable() })
  .openapi('ConversationDetail');
export type ConversationDetail = z.infer<typeof conversationDetail>;
export const detailQuery = z.strictObject(paging);
export type DetailQuery = z.infer<typeof detailQuery>;

const ruleType = z.enum(['threshold', 'cusum']);
const action = z.enum(['log', 'webhook', 'cap', 'refuse']);
export const alertItem = z
  .object({
    id: z.string(),
    time,
    conversation: z.string(),
    turn: z.int(),
    model: z.string(),
    policy: z.string(),
    vector: z.string(),
    rule: ruleType,
    value: z.number().openapi({ description: 'z, percentile or CUSUM, as the rule has it' }),
    limit: z.number(),
    action,
    delivered: z.boolean().nullable().openapi({ description: 'Of a webhook; null where there is none' }),
  })
  .openapi('Alert');
export type AlertItem = z.infer<typeof alertItem>;
export const alertPage = page(alertItem).openapi('AlertPage');
export type AlertPage = z.infer<typeof alertPage>;

const direction = z.enum(['up', 'down']).exactOptional().openapi({ description: 'Default `up`' });
const rule = z.union([
  z.strictObject({ type: z.literal('threshold'), z: z.number(), direction }),
  z.strictObject({ type: z.literal('threshold'), percentile: z.number().min(0).max(100), direction }),
  z.strictObject({ type: z.literal('cusum'), k: z.number().min(0), h: z.number().gt(0), direction }),
]);
export type PolicyRule = z.infer<typeof rule>;
const policyBody = {
  match: z.strictObject({ model: z.string().min(1).exactOptional(), key: z.string().min(1).exactOptional() }),
  watch: z.strictObject({
    vectors: z.array(z.string().min(1)).min(1).max(16),
    layer: z.int().min(1).exactOptional(),
    pooling: z.string().exactOptional(),
  }),
  reading: z.enum(['mean', 'before']).exactOptional().openapi({
    description: 'What of a turn is judged: the mean of the reply (default), or the state before it',
  }),
  rules: z.array(rule).min(1).max(8),
  action,
  cap: z
    .union([z.strictObject({ z: z.number() }), z.strictObject({ percentile: z.number().min(0).max(100) })])
    .exactOptional()
    .openapi({ description: 'Where the action caps; default the 75th percentile of ordinary reply tokens' }),
  webhook: z.strictObject({ url: z.url({ protocol: /^https?$/ }) }).exactOptional(),
};
export const policyName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'expected at most 64 letters, digits, "-" and "_"');
/** As it is put; the name is the route's, and may be said again. */
export const policyRequest = z
  .strictObject({ name: policyName.exactOptional(), ...policyBody })
  .openapi('PolicyRequest');
export type PolicyRequest = z.infer<typeof policyRequest>;
export const policyItem = z.strictObject({ name: policyName, ...policyBody }).openapi('Policy');
export type PolicyItem = z.infer<typeof policyItem>;
export const policyList = z
  .object({ data: z.array(policyItem), next_cursor: z.null() })
  .openapi('PolicyList');
export type PolicyList = z.infer<typeof policyList>;
export const deletedPolicy = z.object({ name: z.string(), deleted: z.literal(true) });

export const monitorSummary = z
  .object({
    since: time,
    bucket_seconds: z.int(),
    data: z.array(
      z.object({
        time,
        model: z.string(),
        vector: z.string(),
        conversations: z.int(),
        turns: z.int(),
        alerts: z.int(),
        mean_z: z.number().nullable(),
      }),
    ),
  })
  .openapi('MonitorSummary');
export type MonitorSummary = z.infer<typeof monitorSummary>;

/** The data of an event `turn`. */
export const turnEvent = turnItem
  .extend({ conversation: z.string(), model: z.string(), key: z.string().nullable() })
  .omit({ role_text: true, texts: true })
  .openapi('TurnEvent');
export type TurnEvent = z.infer<typeof turnEvent>;
export const monitorEvent = z.union([turnEvent, alertItem]).openapi('MonitorEvent');
