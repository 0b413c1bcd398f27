import { Fragment } from 'react';
import { visible } from '../text.ts';

/** A command line, which is broken between its words alone: browsers break behind hyphens, of which flags are full. */
export function Command({ children }: { readonly children: string }) {
  return (
    <pre className="command">
      {visible(children)
        .split(/(\s+)/)
        .map((part, i) =>
          // The same text has the same parts in the same places.
          // oxlint-disable-next-line react/no-array-index-key
          i % 2 === 0 ? <span key={i}>{part}</span> : <Fragment key={i}>{part}</Fragment>,
        )}
    </pre>
  );
}
