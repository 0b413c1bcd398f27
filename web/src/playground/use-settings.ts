import { useEffect, useMemo, useState } from 'react';
import { defaultSettings, fromFragment, type Model, type Settings, toFragment } from './settings.ts';

/** The playground's settings, which the address follows; an address that is opened gives them. */
export function useSettings(models: readonly Model[]): [Settings, (some: Partial<Settings>) => void] {
  const usual = useMemo(() => defaultSettings(models), [models]);
  const [settings, set] = useState(() => fromFragment(location.hash, usual));
  useEffect(() => {
    const opened = (): void => set(fromFragment(location.hash, usual));
    window.addEventListener('hashchange', opened);
    return () => window.removeEventListener('hashchange', opened);
  }, [usual]);
  useEffect(() => {
    // Browsers refuse an address that changes with every key that is pressed.
    const timer = setTimeout(() => {
      const fragment = toFragment(settings, usual);
      const address = `${location.pathname}${location.search}${fragment === '' ? '' : `#${fragment}`}`;
      history.replaceState(null, '', address);
    }, 250);
    return () => clearTimeout(timer);
  }, [settings, usual]);
  return [settings, (some) => set((before) => ({ ...before, ...some }))];
}
