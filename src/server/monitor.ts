import { planInterventions } from '../engine/interventions.ts';
import type { Generated } from '../engine/types.ts';
import { DataError } from '../errors.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import type { KnownTurn, TurnOrigin, TurnRecord, TurnText, WrittenTurn } from '../store/monitor/append.ts';
import { newsOf, turnEvents } from '../store/monitor/read-events.ts';
import type { MonitorReader } from '../store/monitor/store.ts';
import { HttpFailure } from './failure.ts';
import type { MonitorEvents } from './monitor-events.ts';
import { type JudgedScore, readMemory } from './monitor-judge.ts';
import type { MonitorMetrics } from './monitor-metrics.ts';
import { policiesFor, type ReadyPolicy } from './monitor-policies.ts';
import type { MonitorSettings } from './monitor-settings.ts';
import type { StoreThread } from './monitor-thread.ts';
import {
  capsAfter,
  hashMessages,
  type HistoryHash,
  judgedScores,
  projectionRecords,
  refusingPolicy,
  type TurnDirections,
  turnDirections,
} from './monitor-turn.ts';
import type { StoreWriter } from './monitor-worker.ts';
import type { Outbox } from './outbox.ts';
import { mostStages } from './persona.ts';
import type { ReplyPlan } from './replies.ts';
import { tokenTexts } from './token-text.ts';

/** Milliseconds that a reply waits for the store at most. */
const patience = 2000;
/** Turns that may wait to be written; more are counted as lost rather than kept in memory. */
const mostPending = 10_000;

/** Where a reply stands, as its client is told. */
export interface TurnPlace {
  readonly conversation: string;
  readonly index: number;
}

/** What of a request the plan of its replies does not say. */
export interface Asked {
  /** Name of the API key. */
  readonly who: string | null;
  /** The id that the client gave. */
  readonly conversation: string | null;
  /** By prompt: the messages of a chat, or null, and what the user said where it is text. */
  readonly prompts: readonly {
    readonly messages: readonly ChatMessage[] | null;
    readonly user: string | null;
  }[];
  /** The W3C trace context of the request. */
  readonly traceparent: string | null;
}

/** Replies whose turns are written, and the plan by which they are made. */
export interface WatchedReplies {
  readonly plan: ReplyPlan;
  /** Writes a reply's turn; null where that could not be done, and for replies that nobody watches. */
  readonly record: (result: Generated) => Promise<TurnPlace | null>;
}

interface Session {
  readonly plan: ReplyPlan;
  readonly asked: Asked;
  readonly policies: readonly ReadyPolicy[];
  readonly directions: TurnDirections;
  /** By prompt. */
  readonly origins: readonly { readonly origin: TurnOrigin; readonly hash: HistoryHash | null }[];
}

/** Turns requests into turns of conversations: watches what policies want watched, writes, judges, and tells who listens. */
export class Monitor {
  private readonly settings: MonitorSettings;
  private readonly salt: string;
  private readonly writer: StoreThread<StoreWriter>;
  readonly reader: StoreThread<MonitorReader>;
  readonly events: MonitorEvents;
  readonly metrics: MonitorMetrics;
  private readonly outbox: Outbox;
  /** By name. */
  private readonly policies: ReadonlyMap<string, ReadyPolicy>;

  constructor(parts: {
    readonly settings: MonitorSettings;
    readonly salt: string;
    readonly writer: StoreThread<StoreWriter>;
    readonly reader: StoreThread<MonitorReader>;
    readonly events: MonitorEvents;
    readonly metrics: MonitorMetrics;
    readonly outbox: Outbox;
    readonly policies: ReadonlyMap<string, ReadyPolicy>;
  }) {
    this.settings = parts.settings;
    this.salt = parts.salt;
    this.writer = parts.writer;
    this.reader = parts.reader;
    this.events = parts.events;
    this.metrics = parts.metrics;
    this.outbox = parts.outbox;
    this.policies = parts.policies;
  }

  /**
   * Adds what policies watch, and what they do after earlier turns. Where the store fails the replies go out as they were
   * asked for.
   *
   * @throws HttpFailure 403 where a policy refuses the conversation.
   */
  async watch(plan: ReplyPlan, asked: Asked): Promise<WatchedReplies> {
    const { id: model } = plan.served;
    const policies = policiesFor(this.policies, model, asked.who);
    const { watched } = plan.persona;
    if (policies.length === 0 && watched.length === 0) return { plan, record: () => Promise.resolve(null) };
    const directions = turnDirections(watched, policies, model, this.settings.baselines);
    const origins = asked.prompts.map(({ messages }) => this.originOf(model, asked, messages));
    const unasked = directions.all.slice(watched.length).map((one) => one.watched);
    const caps = await Promise.all(
      origins.map(({ origin }) => this.after(origin, policies, { model, directions })),
    );
    const session = { asked, policies, directions, origins, plan: withPolicies(plan, unasked, caps) };
    return { plan: session.plan, record: (result) => this.record(session, result) };
  }

  private originOf(
    model: string,
    { who, conversation }: Asked,
    messages: readonly ChatMessage[] | null,
  ): Session['origins'][number] {
    const origin = { model, key: who, conversation, prefixes: [] };
    if (messages === null) return { origin, hash: null };
    const { hash, prefixes } = hashMessages(this.salt, origin, messages);
    return { origin: { ...origin, prefixes }, hash };
  }

  /** What policies do to a reply after the turn that it follows. */
  private async after(
    origin: TurnOrigin,
    policies: readonly ReadyPolicy[],
    { model, directions }: { readonly model: string; readonly directions: TurnDirections },
  ): Promise<ReturnType<typeof capsAfter>> {
    if (origin.conversation === null && origin.prefixes.length === 0) return noCaps;
    const known = await this.find(origin);
    if (known === null) return noCaps;
    const memory = readMemory(known.memory);
    const refusing = refusingPolicy(policies, memory);
    if (refusing === null) return capsAfter(policies, model, directions, memory);
    this.metrics.refused.inc({ policy: refusing });
    throw new HttpFailure(
      403,
      `policy ${JSON.stringify(refusing)} of this server refuses further turns of this conversation, since an earlier reply set off an alert; begin a new one`,
      { code: 'refused_by_policy', param: 'messages' },
    );
  }

  private async find(origin: TurnOrigin): Promise<KnownTurn | null> {
    try {
      return await this.timely(this.writer.call('find', origin));
    } catch (error) {
      if (error instanceof DataError) throw error;
      this.fail('failed', error);
      return null;
    }
  }

  private async record(session: Session, result: Generated): Promise<TurnPlace | null> {
    if (this.writer.pending >= mostPending) {
      this.fail('dropped', new Error('too many turns wait to be written'));
      return null;
    }
    try {
      const record = this.recordOf(session, result);
      const written = this.writer.call('append', record).then((one) => this.tell(record, one));
      // Also counted where the reply has gone out before.
      written.catch(() => undefined);
      const { conversation, index } = await this.timely(written);
      const wanted = session.plan.persona.watched.length > 0 || session.asked.conversation !== null;
      return wanted ? { conversation, index } : null;
    } catch (error) {
      this.fail('failed', error);
      return null;
    }
  }

  private recordOf(session: Session, result: Generated): TurnRecord<JudgedScore> {
    const { plan, policies, directions, origins, asked } = session;
    const prompt = Math.floor((result.index * origins.length) / plan.rows.length);
    const { origin, hash } = origins[prompt]!;
    const keepTokens = this.settings.keepText || plan.persona.tokens;
    const records = projectionRecords(result, directions.all, keepTokens);
    const reply: ChatMessage = { role: 'assistant', content: result.text ?? '' };
    return {
      origin,
      time: Date.now(),
      history: hash?.with(reply) ?? null,
      projections: records.map(({ beforeScore: _, meanScore: __, ...record }) => record),
      text: this.settings.keepText ? textOf(plan, asked.prompts[prompt]!.user, result) : null,
      judged: judgedScores(policies, directions, records),
      forward: this.settings.forward.map(({ kind }) => kind),
      forwardText: this.settings.forward.some(({ text }) => text),
      trace: parseTraceparent(asked.traceparent),
    };
  }

  private tell(record: TurnRecord, written: WrittenTurn | { readonly failed: unknown }): WrittenTurn {
    if ('failed' in written) throw written.failed;
    this.metrics.turns.inc({ outcome: 'written' });
    for (const { policy } of written.alerts) this.metrics.alerts.inc({ policy });
    if (record.forward.length > 0 || written.alerts.some(({ delivered }) => delivered === false))
      this.outbox.wake();
    this.events.publish(turnEvents(written.tid, newsOf(record, written), written.alerts));
    return written;
  }

  /** A reply is never lost by the store: what goes wrong is counted and logged. */
  private fail(outcome: 'failed' | 'late' | 'dropped', error: unknown): void {
    const late = error instanceof Late;
    this.metrics.turns.inc({ outcome: late ? 'late' : outcome });
    this.settings.onTrouble(error instanceof Error ? error.message : String(error));
  }

  private async timely<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Late()), patience);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

class Late extends Error {
  constructor() {
    super(`the store took more than ${patience} ms; the reply did not wait for it any longer`);
  }
}

const noCaps: ReturnType<typeof capsAfter> = { interventions: [], notes: [] };

/** @throws HttpFailure where so much is to act at one layer that all requests would be slowed down. */
function withPolicies(
  plan: ReplyPlan,
  unasked: ReplyPlan['persona']['unasked'],
  caps: readonly ReturnType<typeof capsAfter>[],
): ReplyPlan {
  const copies = plan.rows.length / caps.length;
  const { config, tokenizer } = plan.served.model.checkpoint;
  const rows = plan.rows.map((row, i) => {
    const { interventions } = caps[Math.floor(i / copies)]!;
    if (interventions.length === 0) return row;
    const all = [...(row.interventions ?? []), ...interventions];
    if (planInterventions(all, config, tokenizer !== null).stages > mostStages)
      throw new HttpFailure(400, `expected fewer edits of one layer: a policy of this server adds its own`);
    return { ...row, interventions: all };
  });
  const notes = [...new Set([...plan.persona.notes, ...caps.flatMap((one) => one.notes)])];
  const persona = { ...plan.persona, unasked, notes };
  const project = [...persona.watched, ...unasked].map(({ layer, vector }) => ({ layer, vector }));
  return { ...plan, rows, persona, options: { ...plan.options, project } };
}

function textOf({ served }: ReplyPlan, user: string | null, result: Generated): TurnText {
  const { tokenizer } = served.model.checkpoint;
  const textOfToken = tokenizer === null ? String : tokenTexts(tokenizer);
  return { user: user ?? '', assistant: result.text ?? '', tokens: result.ids.map((id) => textOfToken(id)) };
}

/** Null where there is none, or none that W3C's recommendation knows. */
function parseTraceparent(text: string | null): { trace_id: string; span_id: string } | null {
  const found = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/.exec(text ?? '');
  return found === null ? null : { trace_id: found[1]!, span_id: found[2]! };
}
