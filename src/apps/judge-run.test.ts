import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fakeTrait, openFakeModel } from '../../test/helpers/fake-model.ts';
import { type LoopbackProvider, startLoopbackProvider } from '../../test/helpers/loopback-provider.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { extract } from '../persona/extract.ts';
import type { JudgeSource } from '../persona/judge.ts';
import { openJudge } from '../persona/judges/open-judge.ts';
import { parseTrait } from '../persona/trait.ts';
import { judgeRun } from './judge-run.ts';

const KEY = 'planted-key-0123456789';
const happy = /happy|smile|laugh|joy|fun/g;
const sad = /sad|cry|tears|lonely|hurt/g;

interface Scene {
  readonly server: LoopbackProvider;
  readonly judges: JudgeSource;
  readonly run: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** A small run on the fake model, judged by a server whose model counts happy words. */
async function scene(judge: 'lexical' | 'server'): Promise<Scene> {
  const server = await startLoopbackProvider({
    say: ({ prompt }) => {
      if (prompt.includes('coherent')) return { tokens: [['90', 1]] };
      const count = (words: RegExp): number =>
        (/answer (.*) to /.exec(prompt)?.[1]?.match(words) ?? []).length;
      const total = count(happy) + count(sad);
      if (total === 0) return { tokens: [['REFUSAL', 1]] };
      return {
        tokens: [
          [String(Math.round((100 * count(happy)) / total)), 0.9],
          ['REF', 0.1],
        ],
      };
    },
  });
  const folder = await temporaryFolder();
  const environment = { PERSONA_CACHE: join(folder, 'cache'), PERSONA_KEY_127_0_0_1: KEY };
  const judges = await openJudge(`${server.base}#m`, { environment });
  onTestFinished(() => judges.close());
  const model = await openFakeModel(join(folder, 'model'));
  const trait = parseTrait(fakeTrait, 'cheerful');
  const run = join(folder, 'run');
  const own = judge === 'server' ? { judge: judges.forTrait(trait) } : {};
  await extract({
    model,
    trait,
    out: run,
    samples: 10,
    maxTokens: 12,
    sweep: false,
    doseResponse: false,
    ...own,
  });
  return { server, judges, run, environment };
}

describe('judgeRun', () => {
  it("tells what the run's judge said, refusals counted", async () => {
    const { run, server } = await scene('server');
    const asked = server.requests.length;
    const { judge, poles, agreement, file } = await judgeRun({ run });
    expect(judge).toMatch(/#m\/top20:/);
    expect(poles.map(({ pole, replies }) => [pole, replies])).toEqual([
      ['pos', 80],
      ['neg', 80],
    ]);
    expect(poles[0]!.trait).toBeGreaterThan(poles[1]!.trait! + 30);
    expect(poles[0]!.coherence).toBe(90);
    const text = await readFile(join(run, 'rollouts.jsonl'), 'utf8');
    const refused = text
      .trim()
      .split('\n')
      .filter((line) => line.includes('"trait":null'));
    expect(poles[0]!.unscoredTrait + poles[1]!.unscoredTrait).toBe(refused.length);
    expect([agreement, file]).toEqual([null, null]);
    expect(server.requests).toHaveLength(asked);
  });

  it('computes the same scores again from the stored answers, and asks nobody', async () => {
    const { run, server } = await scene('server');
    const asked = server.requests.length;
    const { agreement } = await judgeRun({ run, again: true });
    expect(agreement).toMatchObject({ meanAbsoluteDifference: 0, onlyOne: 0 });
    expect(agreement!.replies).toBeGreaterThan(100);
    expect(server.requests).toHaveLength(asked);
    const lexical = await scene('lexical');
    expect((await judgeRun({ run: lexical.run, again: true })).agreement).toMatchObject({
      meanAbsoluteDifference: 0,
      onlyOne: 0,
    });
  });

  it('leaves no trace of the key in the run, its report or the cache', async () => {
    const { run, server } = await scene('server');
    expect(server.requests[0]!.headers.authorization).toBe(`Bearer ${KEY}`);
    const entries = await readdir(join(run, '..'), { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
    expect(files.some((file) => file.endsWith('report.html'))).toBe(true);
    expect(files.some((file) => file.includes('answers'))).toBe(true);
    for (const file of files) expect((await readFile(file)).includes(KEY)).toBe(false);
  });

  it('asks another judge once, keeps its scores apart and continues a call that was stopped', async () => {
    const { run, judges, server } = await scene('lexical');
    const before = await readdir(run);
    const controller = new AbortController();
    const stopped = judgeRun({
      run,
      judges,
      signal: controller.signal,
      onProgress: (done) => {
        if (done === 40) controller.abort();
      },
    });
    await expect(stopped).rejects.toThrow(/^Stopped/);
    const result = await judgeRun({ run, judges });
    expect(result.agreement!.spearman).toBeGreaterThan(0.9);
    // What was answered before the stop was not asked again; calls in flight may have been.
    expect(server.requests.length).toBeLessThanOrEqual(320 + 40);
    const asked = server.requests.length;
    expect(await judgeRun({ run, judges })).toEqual(result);
    expect(server.requests).toHaveLength(asked);
    expect((await readdir(run)).filter((name) => !before.includes(name))).toEqual(['judgements']);
    const lines = (await readFile(result.file!, 'utf8')).trim().split('\n');
    expect(new Set(lines.map((line) => (JSON.parse(line) as { key: string }).key)).size).toBe(lines.length);
  });
});
