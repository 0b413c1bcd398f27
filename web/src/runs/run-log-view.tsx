import { useEffect, useRef } from 'react';
import { visible } from '../text.ts';

/** What a run's command has written, its end in sight unless one has scrolled up. */
export function RunLogView({ text }: { readonly text: string }) {
  const box = useRef<HTMLPreElement>(null);
  const near = useRef(true);
  // After every drawing: only what is new makes it longer.
  useEffect(() => {
    const element = box.current!;
    if (near.current) element.scrollTop = element.scrollHeight;
  });
  const scrolled = (): void => {
    const { scrollHeight, scrollTop, clientHeight } = box.current!;
    near.current = scrollHeight - scrollTop - clientHeight < 40;
  };
  return (
    <section className="card">
      <h2 id="run-log">Log</h2>
      <pre
        className="run-log"
        ref={box}
        onScroll={scrolled}
        tabIndex={0}
        role="log"
        aria-labelledby="run-log"
      >
        {text === '' ? 'Nothing yet.' : visible(text)}
      </pre>
    </section>
  );
}
