import { useState } from 'react';

const themes = ['system', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];
const place = 'persona-theme';

function stored(): Theme {
  const found = localStorage.getItem(place);
  return themes.find((one) => one === found) ?? 'system';
}

function show(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

/** Shows the page as it was left. */
export function restoreTheme(): void {
  show(stored());
}

/** Light, dark or as the system has it, and a function that goes on to the next. */
export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState(stored);
  return [
    theme,
    () => {
      const next = themes[(themes.indexOf(theme) + 1) % themes.length]!;
      localStorage.setItem(place, next);
      show(next);
      setTheme(next);
    },
  ];
}
