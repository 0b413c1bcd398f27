import { useEffect, useRef, useState } from 'react';
import { server } from '../connection.ts';
import { newReply, type Reply, stream, textOf } from './reply.ts';
import { makeRequest, type Message, type ReplyRequest } from './request.ts';
import type { Settings } from './settings.ts';

/** What was said, and what came back without steering and with it. */
export interface Turn {
  readonly user: string;
  readonly seed: number;
  /** Coefficients by vector, as they were then. */
  readonly steer: Readonly<Record<string, number>>;
  readonly plain: Reply;
  /** Null where nothing steered. */
  readonly steered: Reply | null;
}

interface Asked {
  readonly settings: Settings;
  readonly chat: boolean;
  readonly steer: Readonly<Record<string, number>>;
  readonly watch: readonly string[];
}

export interface Conversation {
  readonly turns: readonly Turn[];
  readonly running: boolean;
  readonly send: (text: string, asked: Asked) => void;
  readonly stop: () => void;
  readonly clear: () => void;
}

type Side = 'plain' | 'steered';

/** A conversation that goes two ways: each side has its own replies in its history. */
export function useConversation(): Conversation {
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [running, setRunning] = useState(false);
  const current = useRef<AbortController | null>(null);
  useEffect(() => () => current.current?.abort(), []);

  const send = (text: string, { settings, chat, steer, watch }: Asked): void => {
    if (running) return;
    const seed = settings.seed ?? Math.floor(Math.random() * 2 ** 31);
    const request = (side: Side): ReplyRequest => {
      const messages = [...historyOf(turns, side), { role: 'user', content: text } as const];
      const own = side === 'plain' ? {} : steer;
      return makeRequest({ settings, chat, messages, steer: own, watch, seed });
    };
    const sides: Side[] = Object.keys(steer).length === 0 ? ['plain'] : ['plain', 'steered'];
    const plain = newReply(request('plain'));
    const steered = sides.length === 2 ? newReply(request('steered')) : null;
    setTurns([...turns, { user: text, seed, steer, plain, steered }]);
    setRunning(true);
    const controller = new AbortController();
    current.current = controller;
    const ended = sides.map((side) => {
      const { request } = side === 'plain' ? plain : steered!;
      return stream(server(), request, controller.signal, (reply) => {
        if (current.current === controller) setTurns((all) => withReply(all, side, reply));
      });
    });
    void Promise.all(ended).then(() => {
      if (current.current === controller) setRunning(false);
    });
  };
  return {
    turns,
    running,
    send,
    stop: () => current.current?.abort(),
    clear: () => {
      current.current?.abort();
      current.current = null;
      setRunning(false);
      setTurns([]);
    },
  };
}

function withReply(turns: readonly Turn[], side: Side, reply: Reply): readonly Turn[] {
  const last = turns.at(-1);
  return last === undefined ? turns : [...turns.slice(0, -1), { ...last, [side]: reply }];
}

function historyOf(turns: readonly Turn[], side: Side): Message[] {
  return turns.flatMap((turn): Message[] => {
    const reply = textOf((side === 'steered' ? turn.steered : null) ?? turn.plain);
    // A turn that failed has nothing to go on from.
    if (reply === '') return [];
    return [
      { role: 'user', content: turn.user },
      { role: 'assistant', content: reply },
    ];
  });
}
