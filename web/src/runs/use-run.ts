import { useState } from 'react';
import type { RunItem, RunNews } from '../../../src/server/client.ts';
import { server } from '../connection.ts';
import { useNews } from '../use-news.ts';

type Step = Extract<RunNews, { event: 'steps' }>['data']['steps'][number];
export type { Step };

/** What a stream has told of a run so far. */
export interface LiveRun {
  readonly item: RunItem | null;
  readonly log: { readonly text: string; readonly next: number };
  readonly steps: readonly Step[];
}

/** Characters of a log that are shown. */
const shownLog = 200_000;
const nothing: LiveRun = { item: null, log: { text: '', next: 0 }, steps: [] };

/** A run as it goes on. */
export function useRun(id: string): LiveRun {
  const [live, setLive] = useState(nothing);
  useNews<RunNews>(
    id,
    (signal) => server().runEvents(id, signal),
    (news) => setLive((before) => heard(before, news)),
  );
  return live;
}

function heard(before: LiveRun, news: RunNews): LiveRun {
  switch (news.event) {
    case 'run':
      return { ...before, item: news.data };
    case 'log': {
      const { text, offset, next_offset: next } = news.data;
      // A stream that was opened again begins elsewhere.
      const whole = offset === before.log.next ? before.log.text + text : text;
      return { ...before, log: { text: whole.slice(-shownLog), next } };
    }
    case 'steps':
      return { ...before, steps: withSteps(before.steps, news.data.steps) };
    default:
      return before;
  }
}

/** A step that comes again takes the place of itself and of all behind it. */
function withSteps(before: readonly Step[], steps: readonly Step[]): readonly Step[] {
  const first = steps[0];
  if (first === undefined) return before;
  const kept =
    (before.at(-1)?.step ?? 0) < first.step ? before : before.filter(({ step }) => step < first.step);
  return [...kept, ...steps];
}
