import { useEffect, useRef, useState } from 'react';

/** Milliseconds from one address to the next: browsers refuse one that changes with every key that is pressed. */
const interval = 250;

/** How settings are written as an address's part behind the #, which no server is sent, and read from it. */
interface FragmentForm<Settings> {
  readonly read: (fragment: string) => Settings;
  readonly write: (settings: Settings) => string;
}

/** A view's settings, which the address follows; an address that is opened gives them. `form` stays the same while they do. */
export function useFragment<Settings>(
  form: FragmentForm<Settings>,
): [Settings, (some: Partial<Settings>) => void] {
  const [settings, set] = useState(() => form.read(location.hash));
  useEffect(() => {
    const opened = (): void => set(form.read(location.hash));
    window.addEventListener('hashchange', opened);
    return () => window.removeEventListener('hashchange', opened);
  }, [form]);
  const written = useRef(-Infinity);
  useEffect(() => {
    const write = (): void => {
      const fragment = form.write(settings);
      const hash = fragment === '' ? '' : `#${fragment}`;
      if (hash === location.hash) return;
      written.current = performance.now();
      history.replaceState(null, '', `${location.pathname}${location.search}${hash}`);
    };
    // At once where it can be: a page that is reloaded next is opened as it was left.
    const wait = written.current + interval - performance.now();
    if (wait <= 0) return write();
    const timer = setTimeout(write, wait);
    return () => clearTimeout(timer);
  }, [settings, form]);
  return [settings, (some) => set((before) => ({ ...before, ...some }))];
}
