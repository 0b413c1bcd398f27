import type { ReactNode } from 'react';
import { sentenceOf } from '../connection.ts';
import { visible } from '../text.ts';

/** What went wrong, as the server says it, and a way to try again where there is one. */
export function ErrorNote({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }) {
  const sentence = sentenceOf(error);
  return (
    <div className="error" role="alert">
      {visible(sentence.charAt(0).toUpperCase() + sentence.slice(1))}
      {onRetry && (
        <button type="button" className="plain" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Where there is nothing yet: what to do about it. */
export function Empty({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** A name from outside, kept apart from the direction of the text around it. */
export function Name({ children }: { readonly children: string }) {
  return <bdi>{visible(children)}</bdi>;
}
