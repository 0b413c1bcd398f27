import { useEffect, useState } from 'react';

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
  useEffect(() => {
    // Browsers refuse an address that changes with every key that is pressed.
    const timer = setTimeout(() => {
      const fragment = form.write(settings);
      const address = `${location.pathname}${location.search}${fragment === '' ? '' : `#${fragment}`}`;
      history.replaceState(null, '', address);
    }, 250);
    return () => clearTimeout(timer);
  }, [settings, form]);
  return [settings, (some) => set((before) => ({ ...before, ...some }))];
}
