import { describe, expect, it } from 'vitest';
import { readProjectFile } from './helpers/source.ts';

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
}
interface Manifest {
  readonly allowScripts: Readonly<Record<string, boolean>>;
}

describe('npm ci', () => {
  it('never runs the install script of onnxruntime-node, which downloads CUDA files of hundreds of megabytes', () => {
    const manifest = JSON.parse(readProjectFile('package.json')) as Manifest;
    const lock = JSON.parse(readProjectFile('package-lock.json')) as Lockfile;
    // npm 11 and later read allowScripts; npm 10 runs the scripts that the lockfile announces, so the
    // announcement has to be deleted again after npm has rewritten the lockfile (see CONTRIBUTING.md).
    expect(manifest.allowScripts['onnxruntime-node']).toBe(false);
    expect(lock.packages['node_modules/onnxruntime-node']?.hasInstallScript).toBeUndefined();
  });
});
