import { ServerRefusal } from '../../../src/server/client.ts';
import { useSecrets } from '../connection.ts';
import { ErrorNote } from './notes.tsx';
import { SecretForm } from './secret-form.tsx';

/** Whether the server asks for its token. */
export function needsToken(error: unknown): boolean {
  return error instanceof ServerRefusal && error.code === 'invalid_token';
}

interface ActionTroubleProps {
  readonly error: unknown;
  readonly onRetry: () => void;
}

/** Why something could not be done: for want of the token, which is asked for, or what the server says. */
export function ActionTrouble({ error, onRetry }: ActionTroubleProps) {
  const { token } = useSecrets();
  if (error === null) return null;
  if (!needsToken(error)) return <ErrorNote error={error} onRetry={onRetry} />;
  return (
    <section className="card gate" aria-label="Token">
      <SecretForm kind="token" refused={token !== ''} onDone={onRetry} />
    </section>
  );
}
