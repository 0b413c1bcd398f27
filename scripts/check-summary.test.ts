import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTestCounts, summaryLine } from './check-summary.ts';

describe('the summary of a check', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'check-summary-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const counts = (testResults: unknown): ReturnType<typeof readTestCounts> => {
    const path = join(folder, 'report.json');
    writeFileSync(path, JSON.stringify({ testResults }));
    return readTestCounts(path);
  };
  const tests = (...statuses: string[]): { status: string }[] => statuses.map((status) => ({ status }));

  it('counts tests over files', () => {
    const report = [
      { status: 'passed', assertionResults: tests('passed', 'passed', 'pending') },
      { status: 'failed', assertionResults: tests('passed', 'failed', 'todo', 'skipped') },
    ];
    expect(counts(report)).toEqual({ passed: 3, failed: 1, skipped: 3 });
  });

  it('counts a file that cannot be imported as one failure', () => {
    expect(counts([{ status: 'failed', assertionResults: [] }])).toEqual({
      passed: 0,
      failed: 1,
      skipped: 0,
    });
  });

  it('counts nothing where the run wrote no report', () => {
    expect(readTestCounts(join(folder, 'absent.json'))).toEqual({ passed: 0, failed: 0, skipped: 0 });
  });

  it('names skipped tests only where there are some', () => {
    expect(summaryLine({ passed: 2, failed: 0, skipped: 0 })).toBe('2 passed, 0 failed');
    expect(summaryLine({ passed: 2, failed: 1, skipped: 3 })).toBe('2 passed, 1 failed, 3 skipped');
  });
});
