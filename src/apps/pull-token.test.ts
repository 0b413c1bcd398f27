import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pull } from './pull.ts';
import { hubCommit, modelFiles } from '../../test/helpers/loopback-hub.ts';
import { impatient, pullScene } from '../../test/helpers/pull-scene.ts';
import { ParseError, UsageError } from '../errors.ts';

const token = 'hf_secret';

describe('the token', () => {
  it('goes to the endpoint and not on to where it redirects', async () => {
    const { run, hub } = await pullScene({ token });
    await run({ token });
    expect(hub.requests.map(({ headers }) => headers.authorization)).toEqual(
      hub.requests.map(() => `Bearer ${token}`),
    );
    expect(hub.cdn.requests.length).toBeGreaterThan(0);
    for (const { headers } of hub.cdn.requests) {
      expect(headers.authorization).toBeUndefined();
      expect(JSON.stringify(headers)).not.toContain(token);
    }
  });

  it('stays away after a redirect elsewhere, even where the way leads back', async () => {
    const back: string[] = [];
    const { run, hub } = await pullScene({
      location: (path, cdn) => (path === 'model.safetensors' ? `${cdn}/elsewhere` : undefined),
      file: ({ path }) => {
        if (path !== 'elsewhere') return undefined;
        back.push(path);
        return {
          status: 302,
          headers: { location: `${hubUrl()}/acme/tiny/resolve/${hubCommit}/config.json` },
        };
      },
      files: { ...modelFiles(), elsewhere: 'x' },
    });
    function hubUrl(): string {
      return hub.url;
    }
    await expect(run({ token })).rejects.toThrow(ParseError);
    expect(back).toHaveLength(1);
    const last = hub.requests.find(({ headers }) => headers.authorization === undefined);
    expect(last?.url).toContain('config.json');
  });

  it('comes from the environment or the file that logging in writes', async () => {
    const { environment, hub, cache } = await pullScene({ token });
    await pull('acme/tiny', { environment: { ...environment, HF_TOKEN: `${token}\n` }, patience: impatient });
    await writeFile(join(cache, 'token'), `${token}\n`);
    await pull('acme/tiny', { environment: { ...environment, HF_HOME: cache }, patience: impatient });
    await expect(
      pull('acme/tiny', {
        environment: { ...environment, HF_HOME: cache, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
        patience: impatient,
      }),
    ).rejects.toThrow(/set HF_TOKEN/);
    expect(hub.requests.at(-1)?.headers.authorization).toBeUndefined();
  });

  it('is never shown, and never sent in clear text to another machine', async () => {
    const { run, environment } = await pullScene();
    const error: unknown = await run({ token: 'hf_secret\u00e9 x' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).not.toContain('secret');
    const notes: string[] = [];
    const away = { ...environment, HF_ENDPOINT: 'http://hub.invalid', HF_TOKEN: token };
    const refused = pull('acme/tiny', {
      environment: away,
      patience: impatient,
      onNote: (line) => notes.push(line),
    });
    await expect(refused).rejects.toThrow(
      /^Could not begin listing .*: the name hub\.invalid could not be resolved; check/,
    );
    expect(notes).toEqual(['the token is not sent: http://hub.invalid is not encrypted']);
  });
});
