import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { doctor } from './doctor.ts';
import { adviceFor } from './doctor-advice.ts';
import type { DoctorFacts } from './doctor-advice.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';

describe('doctor', () => {
  it('finds the runtime, measures products and weighs the caches', async () => {
    const folder = await temporaryFolder();
    const blobs = join(folder, 'hub/models--acme--tiny/blobs');
    await mkdir(blobs, { recursive: true });
    await writeFile(join(blobs, 'a'), 'x'.repeat(100));
    await writeFile(join(blobs, 'b.incomplete'), 'x'.repeat(10));
    await symlink('a', join(blobs, 'link'));
    const environment = {
      HF_HUB_CACHE: join(folder, 'hub'),
      PERSONA_CACHE: join(folder, 'none'),
      HF_TOKEN: 'hf_secret',
      OPENAI_API_KEY: 'sk-secret',
      HF_ENDPOINT: '',
      PERSONA_THREADS: '1',
    };
    const report = await doctor({ environment, seconds: 0 });
    expect(report.runtime).toMatchObject({
      works: true,
      version: expect.stringMatching(/^\d+\.\d+/) as string,
    });
    expect(report.runtime.works && report.runtime.providers).toContain('cpu');
    expect(report.productRate).toMatchObject({ threads: 1 });
    expect(report.productRate!.gigaflops).toBeGreaterThan(0.01);
    expect(report.caches).toMatchObject([
      { name: 'models', folder: join(folder, 'hub'), files: 2, bytes: 110, unfinishedBytes: 10 },
      { name: 'own', folder: join(folder, 'none'), files: 0, bytes: 0, unfinishedBytes: 0 },
    ]);
    // A folder that is not there yet is on the disk of the one that will hold it.
    expect(report.caches[1]!.freeBytes).toBeGreaterThan(0);
    expect(report.environment).toEqual([
      'HF_TOKEN',
      'HF_HUB_CACHE',
      'PERSONA_CACHE',
      'PERSONA_THREADS',
      'OPENAI_API_KEY',
    ]);
    expect(JSON.stringify(report)).not.toContain('secret');
    const { fp32, fp32Generate, int8, int4 } = report.largestModel;
    expect([int4 > int8, int8 > fp32, fp32 > fp32Generate]).toEqual([true, true, true]);
    expect(fp32 * 4).toBeLessThan(report.machine.memory.available);
  });
});

describe('adviceFor', () => {
  const good: DoctorFacts = {
    version: '1.0.0',
    node: '20.19.0',
    threads: 16,
    machine: {
      platform: 'linux x64',
      processor: 'x',
      cores: 16,
      coreQuota: null,
      features: ['avx2', 'avx512', 'vnni'],
      memory: { total: 64e9, available: 60e9 },
      load: 0.5,
    },
    runtime: { works: true, version: '1.30.0', providers: ['cpu'] },
    device: { name: 'cpu', problem: null },
    productRate: { gigaflops: 2000, threads: 16 },
    largestModel: { fp32: 12e9, fp32Generate: 6e9, int8: 42e9, int4: 76e9 },
    caches: [{ name: 'models', folder: '/cache', files: 0, bytes: 0, unfinishedBytes: 0, freeBytes: 1e12 }],
    environment: [],
  };
  const machine = (change: Partial<DoctorFacts['machine']>) => ({ machine: { ...good.machine, ...change } });
  const cache = (change: object) => ({ caches: [{ ...good.caches[0]!, ...change }] });

  it('has nothing to say of a good machine', () => {
    expect(adviceFor(good)).toEqual([]);
    expect(adviceFor({ ...good, ...machine({ features: null, platform: 'darwin arm64' }) })).toEqual([]);
  });

  it.each<[string, Partial<DoctorFacts>, RegExp]>([
    [
      'a runtime that does not load',
      { runtime: { works: false, problem: 'x' }, productRate: null },
      /^No command that runs a model works/,
    ],
    [
      'a slow machine',
      { productRate: { gigaflops: 140, threads: 2 } },
      /model of 7 B parameters read at most 10 tokens\/s, one of 0\.5 B 140;/,
    ],
    ['other work', machine({ load: 20.04 }), /20\.0 processes want to run on 16 cores/],
    ['two cores', { ...machine({ cores: 2 }), threads: 2 }, /^Everything: there are 2 cores/],
    ['one core', { ...machine({ cores: 1 }), threads: 1 }, /^Everything: there is 1 core,/],
    [
      'a container with less time than cores',
      machine({ coreQuota: 2.5 }),
      /16 threads share 2\.5 cores' worth .* set PERSONA_THREADS=2\./,
    ],
    [
      'a container with next to no time',
      { ...machine({ coreQuota: 0.5 }), threads: 2 },
      /set PERSONA_THREADS=1\./,
    ],
    ['too many threads', { threads: 64 }, /PERSONA_THREADS asks for 64 threads on 16 cores/],
    ['no AVX2', machine({ features: [] }), /no AVX2/],
    ['no AVX-512', machine({ features: ['avx2', 'vnni'] }), /no AVX-512.* int8 and int4/],
    ['no VNNI', machine({ features: ['avx2', 'avx512'] }), /^int8 and int4: the processor has no VNNI/],
    ['an old ARM', machine({ platform: 'linux arm64', features: ['neon'] }), /no dot products of bytes/],
    [
      'little memory',
      {
        ...machine({ memory: { total: 16e9, available: 4e9 } }),
        largestModel: { ...good.largestModel, int8: 2.84e9 },
      },
      /4\.0 GB of memory are free, enough for 2\.8 B parameters in int8/,
    ],
    ['a full disk', cache({ freeBytes: 3e9 }), /3\.0 GB are free on the disk of "\/cache"/],
    ['downloads that were cut off', cache({ unfinishedBytes: 2e9 }), /Unfinished downloads hold 2\.0 GB/],
    ['being offline', { environment: ['HF_HUB_OFFLINE'] }, /HF_HUB_OFFLINE/],
    ['a proxy that Node ignores', { environment: ['HTTPS_PROXY'] }, /NODE_USE_ENV_PROXY=1/],
  ])('names %s, and nothing else', (_, change, expected) => {
    const advice = adviceFor({ ...good, ...change });
    expect(advice).toHaveLength(1);
    expect(advice[0]).toMatch(expected);
  });

  it('says what weighs most first', () => {
    const advice = adviceFor({
      ...good,
      ...machine({ cores: 2, features: [] }),
      threads: 2,
      productRate: { gigaflops: 10, threads: 2 },
    });
    expect(advice.map((sentence) => sentence.split(':')[0])).toEqual([
      'Large models',
      'Everything',
      'Everything',
    ]);
  });
});
