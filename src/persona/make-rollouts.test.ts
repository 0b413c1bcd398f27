import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { fakeTrait, openFakeModel } from '../../test/helpers/fake-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { type RolloutStore, openRolloutStore } from '../store/rollout-store.ts';
import { type JudgeProvider, type Judgement, noCost } from './judge.ts';
import { makeRollouts } from './make-rollouts.ts';
import { planExtraction } from './rollouts.ts';
import { parseTrait } from './trait.ts';

const trait = parseTrait(fakeTrait, 'cheerful');
const systems = { pos: ['it was happy fun'], neg: ['it was sad tears'] };
const plan = planExtraction(systems, trait.questions, 20);
const sampling = { maxTokens: 8, temperature: 1, topP: 1, seed: 0 };

/** A judge that answers after a while, or fails at its n-th text. */
function slowJudge(options: { beside: boolean; delay?: number; failAt?: number }): JudgeProvider {
  return {
    id: 'slow',
    beside: options.beside,
    estimate: () => noCost,
    async *judge(items): AsyncGenerator<Judgement> {
      let index = 0;
      for await (const item of items) {
        if (options.delay !== undefined) await sleep(options.delay);
        if (index === options.failAt) throw new Error('out of reach');
        yield { index: index++, scores: { trait: item.answer.length % 101, coherence: 100, raw: null } };
      }
    },
  };
}

interface Scene {
  readonly store: RolloutStore;
  readonly rows: string;
  /** `generate 64`, `judge 1` and so on. */
  readonly events: string[];
  readonly make: (judge: JudgeProvider, signal?: AbortSignal) => Promise<void>;
}

async function open(): Promise<Scene> {
  const folder = await temporaryFolder();
  const model = await openFakeModel(join(folder, 'model'), { delay: 2 });
  const rows = join(folder, 'rollouts.jsonl');
  const store = await openRolloutStore({ rows, activations: null, keys: plan.map(({ key }) => key) });
  const events: string[] = [];
  const make = async (judge: JudgeProvider, signal?: AbortSignal): Promise<void> => {
    const onProgress = (phase: string, done: number): void => void events.push(`${phase} ${done}`);
    await makeRollouts({
      model,
      trait,
      plan,
      store,
      judge,
      sampling,
      capture: [],
      keepThoughts: false,
      onProgress,
      ...(signal && { signal }),
    });
  };
  return { store, rows, events, make };
}

describe('makeRollouts', () => {
  it('judges what is stored while more is generated, and waits for a slow judge only at the end', async () => {
    const { store, events, make } = await open();
    await make(slowJudge({ beside: true, delay: 1 }));
    const [firstJudged, lastMade] = [events.indexOf('judge 1'), events.indexOf('generate 160')];
    expect(firstJudged).toBeGreaterThanOrEqual(0);
    expect(firstJudged).toBeLessThan(lastMade);
    // A slow judge is behind when the last text is made: generation did not wait for it.
    expect(events.indexOf('judge 160')).toBeGreaterThan(lastMade + 10);
    expect(store.finished).toBe(true);
  });

  it('lets a judge that shares the processor come after', async () => {
    const { events, make } = await open();
    await make(slowJudge({ beside: false }));
    expect(events.indexOf('judge 1')).toBe(events.indexOf('generate 160') + 1);
  });

  it('ends in the same file in whatever order texts were made and judged', async () => {
    const scenes = [await open(), await open()];
    await scenes[0]!.make(slowJudge({ beside: true, delay: 0 }));
    await scenes[1]!.make(slowJudge({ beside: false }));
    const [a, b] = await Promise.all(scenes.map(({ rows }) => readFile(rows, 'utf8')));
    expect(a).toBe(b);
  });

  it('stops when the judge fails, keeps all that was made and scored, and goes on from there', async () => {
    const { store, events, make } = await open();
    await expect(make(slowJudge({ beside: true, failAt: 5 }))).rejects.toThrow('out of reach');
    expect(store.missing().length).toBeGreaterThan(0);
    const scored = store.size - store.missing().length - store.unscored().length;
    expect(scored).toBe(5);
    events.length = 0;
    await make(slowJudge({ beside: true }));
    expect(events.filter((event) => event.startsWith('judge'))).toHaveLength(plan.length - scored);
    expect(store.finished).toBe(true);
  });

  it('stops on both sides when asked to', async () => {
    const { store, events, make } = await open();
    const controller = new AbortController();
    const making = make(slowJudge({ beside: true, delay: 1 }), controller.signal);
    while (!events.includes('judge 3')) await sleep(1);
    controller.abort();
    await expect(making).rejects.toMatchObject({ code: 'aborted' });
    expect(store.finished).toBe(false);
    expect(store.unscored().length).toBeGreaterThan(0);
  });
});
