import { useMemo } from 'react';
import { useFragment } from '../use-fragment.ts';
import { defaultSettings, fromFragment, type Model, type Settings, toFragment } from './settings.ts';

/** The playground's settings, which the address follows; an address that is opened gives them. */
export function useSettings(models: readonly Model[]): [Settings, (some: Partial<Settings>) => void] {
  const form = useMemo(() => {
    const usual = defaultSettings(models);
    return {
      read: (fragment: string) => fromFragment(fragment, usual),
      write: (settings: Settings) => toFragment(settings, usual),
    };
  }, [models]);
  return useFragment(form);
}
