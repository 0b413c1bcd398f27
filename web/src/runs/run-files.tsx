import { useMutation } from '@tanstack/react-query';
import type { RunFile } from '../../../src/server/client.ts';
import { server, useSecrets } from '../connection.ts';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Name } from '../parts/notes.tsx';
import { saveFile } from '../save-file.ts';
import { visible } from '../text.ts';
import { fileAddress, size } from './words.ts';

interface RunFilesProps {
  readonly id: string;
  readonly files: readonly RunFile[];
}

/** What a run has made, each file to be kept. */
export function RunFiles({ id, files }: RunFilesProps) {
  const { apiKey } = useSecrets();
  const fetching = useMutation({
    mutationFn: async (path: string) => saveFile(await server().runFile(id, path), path.split('/').at(-1)!),
  });
  if (files.length === 0) return null;
  return (
    <section className="card">
      <h2>Files</h2>
      <ul className="run-files">
        {files.map(({ path, bytes }) => (
          <li key={path}>
            <Name>{path}</Name>
            <span className="soft small">{size(bytes)}</span>
            {apiKey === '' ? (
              <a
                href={`${fileAddress(id, path)}?download=true`}
                download
                aria-label={`Download ${visible(path)}`}
              >
                Download
              </a>
            ) : (
              <button
                type="button"
                className="plain"
                aria-label={`Download ${visible(path)}`}
                disabled={fetching.isPending}
                onClick={() => fetching.mutate(path)}
              >
                Download
              </button>
            )}
          </li>
        ))}
      </ul>
      <ActionTrouble
        error={fetching.error}
        onRetry={() => fetching.variables !== undefined && fetching.mutate(fetching.variables)}
      />
    </section>
  );
}
