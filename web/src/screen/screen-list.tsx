import type { ScreenItem } from '../../../src/server/client.ts';
import { Name } from '../parts/notes.tsx';
import { Link } from '../router.tsx';
import { count } from '../text.ts';

/** The screenings that there are, each a link to it. */
export function ScreenList({ screens }: { readonly screens: readonly ScreenItem[] }) {
  return (
    <ul className="screens">
      {screens.map(({ id, name, model, mode, rows, flagged, traits, data }) => (
        <li key={id} className="card">
          <h2>
            <Link href={`/app/screen/${encodeURIComponent(id)}`}>
              <Name>{name}</Name>
            </Link>
          </h2>
          <p>
            {count(rows, 'row')}, {flagged.toLocaleString('en')} flagged
          </p>
          <p className="small">
            <Name>{data.join(', ')}</Name>
          </p>
          <p className="soft small">
            {traits.map((trait, i) => (
              <span key={trait}>
                {i > 0 && ', '}
                <Name>{trait}</Name>
              </span>
            ))}{' '}
            · by <Name>{model}</Name>, mode {mode}
          </p>
        </li>
      ))}
    </ul>
  );
}
