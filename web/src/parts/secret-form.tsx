import { type FormEvent, useId, useState } from 'react';
import { setSecret } from '../connection.ts';

interface SecretFormProps {
  readonly kind: 'apiKey' | 'token';
  /** Whether the one that this tab has is not the server's. */
  readonly refused: boolean;
  readonly onDone?: () => void;
}

const words = {
  apiKey: {
    label: 'API key',
    hint: 'This server answers only who has a key. It stays in this tab.',
  },
  token: {
    label: 'Token',
    hint: 'persona serve printed it when it started. It stays in this tab.',
  },
} as const;

/** Asks for a key or token and keeps it for this tab. */
export function SecretForm({ kind, refused, onDone }: SecretFormProps) {
  const [value, setValue] = useState('');
  const hint = useId();
  const { label, hint: text } = words[kind];
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setSecret(kind, value.trim());
    onDone?.();
  };
  return (
    <form className="stack" onSubmit={submit}>
      <label className="field">
        <span>{label}</span>
        <input
          type="password"
          autoComplete="off"
          spellCheck={false}
          value={value}
          aria-describedby={hint}
          onChange={(event) => setValue(event.target.value)}
        />
      </label>
      <p id={hint} className="soft small">
        {refused ? 'The server does not know that one. ' : ''}
        {text}
      </p>
      <button type="submit" className="primary" disabled={value.trim() === ''}>
        Continue
      </button>
    </form>
  );
}
